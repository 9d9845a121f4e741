"""A camera, seen from the agent: its frames come from a process of its own, which is killed when it falls silent."""

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from typing import IO

from trap_contract.errors import SourceError
from trap_contract.logs import log

from trap_agent.sources import Frame, Pace, shown, wire

# -P: nothing in the folder where the agent happens to run is imported
_COMMAND = (sys.executable, "-P", "-m", "trap_agent.sources.capture")
_GUESSED_FPS = 10.0
_OPEN_S = 30.0
_SILENCE_S = 8.0
"""A camera that gives no frame for so long is given up; with the clean-up, that is within 10 s."""
_TICK_S = 0.25
_FAREWELL_S = 0.5
_PIPE_BYTES = 1 << 20


class CapturedSource:
    """Frames of a camera, at most `fps` a second; `interval_s` is a guess until it has been opened.

    Raises SourceError when the camera is missing or busy, or does not open in time, unless it `may_be_missing`.
    """

    pace: Pace = "live"

    def __init__(self, spec: str, fps: float | None, *, may_be_missing: bool = False) -> None:
        self._name = shown(spec)
        self._request = json.dumps({"source": spec, "fps": fps}).encode() + b"\n"
        self.interval_s = 1 / (fps or _GUESSED_FPS)
        self._process, self._pipe = self._start()
        try:
            self.interval_s = self._greet()
        except SourceError as error:
            if not may_be_missing:
                raise
            log.error("the camera is missing, counting begins when it comes", error=str(error))

    def frames(self) -> Generator[Frame | None, None, None]:
        """Frames as they come; the camera is opened again if it was lost.

        Raises SourceError when the camera is lost: it says so, is silent for 8 s, or its process ends.
        """
        if self._pipe.closed:
            if self._process.poll() is None:
                raise SourceError(f"{self._name} is held by a process that can't be killed: restart the board")
            self._process, self._pipe = self._start()
            self.interval_s = self._greet()
        try:
            yield from self._receive()
        finally:
            self._stop()

    def _receive(self) -> Generator[Frame | None, None, None]:
        give_up_s = time.monotonic() + _SILENCE_S
        while True:
            if not wire.is_ready(self._pipe.fileno(), _TICK_S) and time.monotonic() < give_up_s:
                yield None
                continue
            frame = self._hear(give_up_s).frame
            give_up_s = time.monotonic() + _SILENCE_S
            yield frame

    def _start(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both were asked for")
        with suppress(OSError):  # fewer, larger writes; without it frames come all the same
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        with suppress(BrokenPipeError):
            process.stdin.write(self._request)
        process.stdin.close()
        return process, process.stdout

    def _greet(self) -> float:
        try:
            return self._hear(time.monotonic() + _OPEN_S).interval_s
        except SourceError:
            self._stop()
            raise

    def _hear(self, deadline_s: float) -> wire.Message:
        try:
            message = wire.receive(self._pipe.fileno(), deadline_s)
        except TimeoutError as error:
            raise SourceError(f"{self._name} has hung: check its cable, power and network") from error
        except EOFError as error:
            self._stop()
            status = self._process.poll()
            raise SourceError(f"{self._name}: the process that reads it has ended with status {status}") from error
        if message.lost:
            raise SourceError(message.lost)
        return message

    def _stop(self) -> None:
        """Hang up, at which the process lets go of the camera and ends; kill it if it does not."""
        self._pipe.close()
        try:
            self._process.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_FAREWELL_S)
