from pathlib import Path

import cv2
import numpy as np
import pytest
from trap_agent.sources import open_source
from trap_agent.sources.rendered import RenderedSource
from trap_contract.errors import SourceError

from device.bundles import paint, save_pictures
from device.samples import SetClock


def write_video(path: Path, frames: int, fps: float) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 64))
    for number in range(frames):
        writer.write(np.full((64, 64, 3), number * 10, np.uint8))
    writer.release()
    return path


def test_a_folder_shows_each_picture_once_by_name_a_second_apart(tmp_path):
    save_pictures(tmp_path, 3, "Male")
    (tmp_path / "notes.txt").write_text("not a picture")
    frames = list(open_source(str(tmp_path), None, SetClock(50)).frames())
    assert [frame.name for frame in frames] == ["00000.png", "00001.png", "00002.png"]
    assert [frame.at.mono_s for frame in frames] == [50, 51, 52]
    assert np.array_equal(frames[0].pixels, paint("Male"))


def test_an_unreadable_picture_among_good_ones_is_a_frame_without_pixels(tmp_path):
    save_pictures(tmp_path, 2)
    (tmp_path / "00000a.jpg").write_bytes(b"\xff\xd8 damaged")
    frames = list(open_source(f"folder:{tmp_path}", None, SetClock()).frames())
    assert [frame.pixels is None for frame in frames] == [False, True, False]


def test_a_video_gives_every_frame_in_its_own_time(tmp_path):
    source = open_source(str(write_video(tmp_path / "v.avi", 10, 5)), None, SetClock(0))
    frames = list(source.frames())
    assert len(frames) == 10
    assert frames[-1].at.mono_s == pytest.approx(1.8)
    assert frames[9].pixels is not None
    assert frames[9].pixels.mean() == pytest.approx(90, abs=3)


def test_a_lower_rate_thins_a_video_without_changing_its_time(tmp_path):
    source = open_source(f"video:{write_video(tmp_path / 'v.avi', 20, 10)}", 2, SetClock(0))
    assert source.interval_s == 0.5
    assert [frame.at.mono_s for frame in source.frames()] == [0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folder:{tmp}/missing", "no such source"),
        ("{tmp}", "no pictures in this folder"),
        ("{tmp}/broken.mp4", "not a video that can be read"),
        ("camera:93", r"camera:93 can't be opened: check that /dev/video93 exists"),
        ("camera:front", "a whole number belongs behind the colon"),
        ("rendered:x", "a whole number belongs behind the colon"),
    ],
)
def test_a_source_that_gives_nothing_is_refused_by_name(tmp_path, spec, message):
    (tmp_path / "broken.mp4").write_bytes(b"this is no video" * 100)
    with pytest.raises(SourceError, match=message):
        open_source(spec.format(tmp=tmp_path), None, SetClock())


class FakeCamera:
    """A camera that gives three frames, the second of them torn, and is then unplugged."""

    opened = 0

    def __init__(self, *_: object) -> None:
        type(self).opened += 1
        self.left, self.is_open = 3, True

    def isOpened(self) -> bool:
        return self.is_open

    def get(self, _property: int) -> float:
        return 5.0

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, object]:
        return (False, None) if self.left == 1 else (True, paint("Female"))

    def release(self) -> None:
        self.is_open = False


def test_a_camera_that_stops_says_so_and_can_be_opened_again(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    clock = SetClock()
    source = open_source("camera:0", None, clock)
    assert source.interval_s == pytest.approx(1 / 5)
    for opened in (1, 2):
        frames = source.frames()
        seen = []
        for _ in range(3):
            seen.append(next(frames).pixels is None)
            clock.mono_s += 1
        assert seen == [False, True, False]
        with pytest.raises(SourceError, match="camera:0 stopped delivering"):
            next(frames)
        assert FakeCamera.opened == opened


def test_frames_above_the_asked_rate_are_left_out(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    source = open_source("camera:0", 1, SetClock())
    assert next(source.frames()).pixels is not None
    with pytest.raises(SourceError):
        list(source.frames())


def test_the_rendered_board_is_the_same_for_the_same_seed():
    first = next(RenderedSource(7, 10, SetClock()).frames()).pixels
    second = next(RenderedSource(7, 10, SetClock()).frames()).pixels
    other = next(RenderedSource(8, 10, SetClock()).frames()).pixels
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
