import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.sources import wire
from trap_agent.sources.capture import serve

from device.samples import SetClock, moment

SHAPES = st.tuples(st.integers(1, 300), st.integers(1, 300), st.just(3))


def piped(*, write, messages: int) -> list[wire.Message]:
    """What comes through a real pipe while `write` writes to it."""
    inlet, outlet = os.pipe()
    with os.fdopen(outlet, "wb") as pipe:
        writer = threading.Thread(target=write, args=(pipe,))
        writer.start()
        got = [wire.receive(inlet, time.monotonic() + 20) for _ in range(messages)]
        writer.join()
    os.close(inlet)
    return got


@given(st.none() | SHAPES, st.floats(0, 1e9), st.integers(0, 2**48), st.booleans())
def test_a_frame_comes_as_it_went(shape, mono_s, wall_ms, is_synced):
    pixels = None if shape is None else np.random.default_rng(wall_ms).integers(0, 256, shape, np.uint8)
    at = moment(mono_s, wall_ms, is_synced=is_synced)
    (message,) = piped(write=lambda pipe: wire.send_frame(pipe, pixels, at), messages=1)
    assert message.frame is not None
    assert message.frame.at == at
    assert pixels is None if message.frame.pixels is None else np.array_equal(message.frame.pixels, pixels)


def test_a_pipe_that_ends_in_a_frame_is_no_frame():
    inlet, outlet = os.pipe()
    with os.fdopen(outlet, "wb") as pipe:
        wire.send(pipe, at=[1.0, 1, True], shape=[4, 4, 3])
    with pytest.raises(EOFError):
        wire.receive(inlet, time.monotonic() + 20)
    os.close(inlet)


def test_a_frame_that_stops_coming_is_not_waited_for_beyond_the_deadline():
    inlet, outlet = os.pipe()
    with os.fdopen(outlet, "wb") as pipe:
        wire.send(pipe, at=[1.0, 1, True], shape=[4, 4, 3])
        with pytest.raises(TimeoutError):
            wire.receive(inlet, time.monotonic())
    os.close(inlet)


class TenAFrameSecond:
    """A camera that gives thirty frames, ten a second, each third of them torn."""

    rate = 10.0

    def __init__(self, clock: SetClock) -> None:
        self.clock, self.given = clock, 0

    def grab(self) -> bool:
        self.given += 1
        self.clock.mono_s += 0.1
        return self.given <= 30

    def retrieve(self):
        return None if self.given % 3 == 0 else np.full((2, 2, 3), self.given, np.uint8)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("rate", "shown"), [(10, 30), (5, 16), (2, 7), (1, 4)])
def test_of_frames_above_the_asked_rate_only_their_coming_is_told(rate, shown):
    clock = SetClock(0)
    messages = piped(write=lambda pipe: serve(TenAFrameSecond(clock), 1 / rate, clock, pipe), messages=30)
    assert sum(message.frame is not None for message in messages) == shown  # the first finds its place in time


def test_a_torn_frame_is_a_frame_without_pixels():
    clock = SetClock(0)
    messages = piped(write=lambda pipe: serve(TenAFrameSecond(clock), 0.1, clock, pipe), messages=30)
    assert sum(message.frame is not None and message.frame.pixels is None for message in messages) == 10
