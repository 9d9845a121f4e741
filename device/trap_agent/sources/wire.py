"""What the capture process tells the agent: messages of a JSON head and, behind a frame's, its pixels."""

import json
import os
import select
import struct
import time
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from trap_agent.clock import Moment
from trap_agent.sources import Frame

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Message:
    """The camera is open and gives a frame every `interval_s`, or it is lost, or a frame came, perhaps to be shown."""

    interval_s: float = 0.0
    lost: str = ""
    frame: Frame | None = None


def send(pipe: BinaryIO, **head: object) -> None:
    """Write a message without pixels. Raises BrokenPipeError when nobody listens any more."""
    data = json.dumps(head).encode()
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def send_frame(pipe: BinaryIO, pixels: NDArray[np.uint8] | None, at: Moment) -> None:
    """Write a frame; `pixels` (H, W, 3) or None. Raises BrokenPipeError when nobody listens any more."""
    shape = None if pixels is None else pixels.shape
    send(pipe, at=[at.mono_s, at.wall_ms, at.is_synced], shape=shape)
    if pixels is not None:
        pipe.write(np.ascontiguousarray(pixels).data.cast("B"))
        pipe.flush()


def is_ready(pipe: int, timeout_s: float) -> bool:
    """Whether a message, or the pipe's end, has begun to come within that time."""
    return bool(select.select([pipe], [], [], max(0.0, timeout_s))[0])


def receive(pipe: int, deadline_s: float) -> Message:
    """The next message. Raises TimeoutError when it is not whole by then (monotonic), EOFError at the pipe's end."""
    length = bytearray(_LENGTH.size)
    _fill(pipe, memoryview(length), deadline_s)
    data = bytearray(_LENGTH.unpack(length)[0])
    _fill(pipe, memoryview(data), deadline_s)
    head = json.loads(data)
    if "at" not in head:
        return Message(**head)
    pixels = None if head["shape"] is None else np.empty(head["shape"], np.uint8)
    if pixels is not None:
        _fill(pipe, pixels.data.cast("B"), deadline_s)
    return Message(frame=Frame(pixels, Moment(*head["at"])))


def _fill(pipe: int, place: memoryview, deadline_s: float) -> None:
    while place:
        if not is_ready(pipe, deadline_s - time.monotonic()):
            raise TimeoutError
        count = os.readv(pipe, [place])
        if count == 0:
            raise EOFError
        place = place[count:]
