"""Cameras in a process of their own. The camera is a fake `picamera2`; the process, its pipe and its end are real."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import running_broker
from trap_agent.sources import captured
from trap_agent.sources.captured import CapturedSource
from trap_contract.errors import SourceError
from trap_contract.messages import Window
from waiting import until

from device.agents import started_agent
from device.collectors import tiny_collector

FAKE = """
import json, os, pathlib, signal, sys, time
import numpy as np

PLACE = pathlib.Path(__file__).parent

def note(word):
    with (PLACE / "log").open("a") as log:
        log.write(word + "\\n")

class Request:
    def __init__(self, number):
        self.number = number
    def make_array(self, stream):
        assert stream == "main"
        return np.full((48, 64, 3), self.number, np.uint8)
    def release(self):
        note("released")

class Picamera2:
    def __init__(self, number):
        note(f"opened {number} {os.getpid()}")
        if number > 1:
            raise IndexError("list index out of range")
        lives = json.loads((PLACE / "lives").read_text())
        self.life = lives[min(len(lives), (PLACE / "log").read_text().count("opened")) - 1]
        self.given = 0
    def create_video_configuration(self, main, controls, buffer_count):
        return {"main": main, "controls": controls, "buffer_count": buffer_count}
    def configure(self, config):
        print("this library prints to standard output", flush=True)
        note(json.dumps(config))
    def start(self):
        pass
    def stop(self):
        note("stopped")
    def close(self):
        note("closed")
    def capture_request(self):
        frames, end = self.life
        self.given += 1
        if self.given <= frames:
            time.sleep(0.05)
            return Request(self.given)
        if end == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if end != "hang":
            raise RuntimeError(end)
        note("hanging")
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        while True:
            time.sleep(60)
"""


class FakePi:
    """A Raspberry Pi whose camera has these lives, each of so many frames and an end."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "picamera2.py").write_text(FAKE)

    def monotonic(self) -> float:
        """A fast clock that leaps whenever a camera hangs: nobody has to sit the silence out."""
        hangs = self.log.count("hanging") if (self.place / "log").exists() else 0
        return 20 * time.monotonic() + 1000 * hangs

    def lives(self, *lives: tuple[int, str]) -> None:
        (self.place / "lives").write_text(json.dumps(lives))

    @property
    def log(self) -> list[str]:
        return (self.place / "log").read_text().splitlines()

    @property
    def processes(self) -> list[int]:
        return [int(line.split()[2]) for line in self.log if line.startswith("opened")]


@pytest.fixture
def pi(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pi = FakePi(tmp_path)
    monkeypatch.setattr(captured, "time", pi)
    monkeypatch.setattr(captured.wire, "time", pi)
    monkeypatch.setattr(captured, "_SILENCE_S", 100.0)
    monkeypatch.setattr(captured, "_OPEN_S", 2500.0)
    monkeypatch.setattr(captured, "_FAREWELL_S", 100.0)
    return pi


@pytest.fixture
def brief(pi, monkeypatch):
    """What hangs is not asked twice to end."""
    monkeypatch.setattr(captured, "_FAREWELL_S", 0.05)


def watch(source: CapturedSource) -> tuple[list[int], str]:
    """The frames of one life of the camera, by what is painted on them, and its last words."""
    seen: list[int] = []
    with pytest.raises(SourceError) as lost:
        seen.extend(int(frame.pixels[0, 0, 0]) for frame in source.frames() if frame is not None)
    return seen, str(lost.value)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]


@pytest.mark.usefixtures("brief")
def test_a_camera_that_hangs_without_an_error_is_killed_and_opened_again(pi):
    pi.lives((3, "hang"), (2, "hang"))
    source = CapturedSource("picamera:0", 240)
    assert watch(source) == ([1, 2, 3], "picamera:0 has hung: check its cable, power and network")
    assert watch(source)[0] == [1, 2]
    assert not any(is_running(process) for process in pi.processes)
    assert len(pi.processes) == 2


def test_a_camera_that_fails_is_named_with_its_reason_and_let_go(pi):
    pi.lives((3, "dequeue timer of rtsp://user:secret@cam/ has expired"))
    seen, words = watch(CapturedSource("picamera:0", 240))
    assert seen == [1, 2, 3]
    assert pi.log.count("released") == 3
    assert words == "picamera:0: RuntimeError('dequeue timer of rtsp://cam/ has expired')"
    assert pi.log[-3:] == ["released", "stopped", "closed"]


def test_a_camera_library_that_dies_takes_only_its_process_with_it(pi):
    pi.lives((2, "die"))
    assert watch(CapturedSource("picamera:0", 240)) == (
        [1, 2],
        "picamera:0: the process that reads it has ended with status -9",
    )


def test_a_source_that_is_closed_lets_the_camera_go_in_order(pi):
    pi.lives((100_000, "the end"))
    frames = CapturedSource("picamera:0", 240).frames()
    while next(frames) is None:
        pass
    frames.close()
    assert pi.log[-2:] == ["stopped", "closed"]
    assert not is_running(pi.processes[0])


def test_signals_meant_for_the_agent_do_not_end_the_capture(pi):
    pi.lives((100_000, "the end"))
    frames = CapturedSource("picamera:0", 240).frames()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pi.processes[0], number)
    shown = [frame for frame, _ in zip((frame for frame in frames if frame), range(5), strict=False)]
    assert len(shown) == 5
    frames.close()


def test_an_agent_that_is_killed_takes_the_capture_with_it(pi):
    pi.lives((0, "hang"))
    program = "from trap_agent.sources.captured import CapturedSource as C; C('picamera:0', 5); input()"
    agent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    until(lambda: (pi.place / "log").exists() and len(pi.log) > 1, "the camera to be opened")
    agent.kill()
    agent.wait()
    until(lambda: not is_running(pi.processes[0]), "the capture process to end")


def test_a_camera_that_does_not_open_in_time_is_refused(pi, monkeypatch):
    monkeypatch.setattr(captured, "_OPEN_S", 0.0)
    pi.lives((1, "hang"))
    with pytest.raises(SourceError, match="picamera:0 has hung"):
        CapturedSource("picamera:0", None)


def test_a_camera_that_is_not_there_is_refused_with_the_next_step(pi):
    pi.lives((1, "hang"))
    with pytest.raises(SourceError, match=r"picamera:7 can't be opened: list index.*rpicam-hello --list-cameras"):
        CapturedSource("picamera:7", None)


def test_size_and_buffers_are_what_was_asked_for(pi):
    pi.lives((1, "the end"))
    source = CapturedSource("picamera:1@1280x720", 60)
    config = json.loads(pi.log[1])
    assert config["main"] == {"size": [1280, 720], "format": "RGB888"}
    assert config["buffer_count"] == 4
    assert source.interval_s == pytest.approx(1 / 30, rel=0.01)
    watch(source)


@pytest.mark.usefixtures("brief")
def test_what_can_not_be_killed_is_not_opened_twice(pi, monkeypatch):
    pi.lives((1, "hang"))
    source = CapturedSource("picamera:0", 240)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda self: None)
    watch(source)
    assert "held by a process that can't be killed" in watch(source)[1]
    os.kill(pi.processes[0], signal.SIGKILL)


def is_without_camera(window: Window) -> bool:
    return [gap.reason for gap in window.effort.gaps] == ["camera"]


def test_an_agent_whose_camera_is_missing_at_start_reports_the_gap_and_no_zero(tmp_path, bundle):
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        flags = ("--model", bundle, "--source", "camera:97", "--window", 1, "--trap", "t-1", "--broker", broker.url)
        with started_agent(*flags, "--state-dir", tmp_path / "state", log=tmp_path / "log"):
            until(lambda: any(is_without_camera(window) for window in [*collector.stored.values()]), "it is told")
        assert all(window.counts is None for window in collector.stored.values())
        assert "the camera is missing, counting begins when it comes" in (tmp_path / "log").read_text()


def test_a_camera_that_comes_late_is_opened_and_then_its_rate_is_known(tmp_path, monkeypatch):
    source = CapturedSource("camera:97", 5, may_be_missing=True)
    assert source.interval_s == 0.2
    monkeypatch.setattr(captured, "_COMMAND", (sys.executable, "-c", LATE))
    frames = source.frames()
    assert next(frame for frame in frames if frame is not None).pixels is None
    assert source.interval_s == 0.5
    frames.close()


LATE = """
import sys, time
from trap_agent.clock import Moment
from trap_agent.sources import wire
sys.stdin.readline()
wire.send(sys.stdout.buffer, interval_s=0.5)
wire.send_frame(sys.stdout.buffer, None, Moment(1.0, 1, False))
time.sleep(60)
"""
