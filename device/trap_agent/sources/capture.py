"""The capture process: it opens one camera and sends its frames, and can be killed when the camera hangs.

It is told which camera through standard input, where no list of processes shows a password.
"""

import ctypes
import json
import os
import re
import signal
import sys
from typing import BinaryIO

from trap_contract.errors import SourceError

from trap_agent.clock import Clock, SystemClock
from trap_agent.sources import shown, wire
from trap_agent.sources.cameras import Camera, open_camera

_RATE = 10.0
_PR_SET_PDEATHSIG = 1
_CREDENTIALS = re.compile(r"(://)[^\s/]*@")


def main() -> None:
    """Serve the camera until it is lost or the agent hangs up."""
    _live_with_parent()
    request = json.loads(sys.stdin.readline())
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a camera's library prints must not come among the records
    try:
        _capture(request["source"], request["fps"], pipe)
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:  # noqa: BLE001 - a camera's library may raise anything
        text = str(error) if isinstance(error, SourceError) else f"{shown(request['source'])}: {error!r}"
        wire.send(pipe, lost=_CREDENTIALS.sub(r"\1", text))


def _live_with_parent() -> None:
    """Be stopped by the agent, not by the signals that stop it; and be killed when it is killed (prctl(2))."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _capture(source: str, fps: float | None, pipe: BinaryIO) -> None:
    camera = open_camera(source)
    try:
        asked = fps or _RATE
        interval_s = 1 / (min(asked, camera.rate) if camera.rate > 0 else asked)
        wire.send(pipe, interval_s=interval_s)
        serve(camera, interval_s, SystemClock(), pipe)
        raise SourceError(f"{shown(source)} stopped delivering: check its cable, power and network")
    finally:
        camera.close()


def serve(camera: Camera, interval_s: float, clock: Clock, pipe: BinaryIO) -> None:
    """Send frames until there are none; of those that come sooner than `interval_s`, only that they came."""
    due_s = 0.0
    while camera.grab():
        at = clock.now()
        if at.mono_s < due_s:
            wire.send(pipe)
            continue
        due_s = max(due_s + interval_s, at.mono_s + interval_s / 2)
        wire.send_frame(pipe, camera.retrieve(), at)


if __name__ == "__main__":
    main()
