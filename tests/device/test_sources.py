from pathlib import Path

import cv2
import numpy as np
import pytest
from trap_agent.sources import open_source, shown
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
    frames = list(open_source(str(tmp_path), None, SetClock(50), tmp_path).frames())
    assert [frame.name for frame in frames] == ["00000.png", "00001.png", "00002.png"]
    assert [frame.at.mono_s for frame in frames] == [50, 51, 52]
    assert np.array_equal(frames[0].pixels, paint("Male"))


def test_an_unreadable_picture_among_good_ones_is_a_frame_without_pixels(tmp_path):
    save_pictures(tmp_path, 2)
    (tmp_path / "00000a.jpg").write_bytes(b"\xff\xd8 damaged")
    frames = list(open_source(f"folder:{tmp_path}", None, SetClock(), tmp_path).frames())
    assert [frame.pixels is None for frame in frames] == [False, True, False]


def test_a_video_gives_every_frame_in_its_own_time(tmp_path):
    source = open_source(str(write_video(tmp_path / "v.avi", 10, 5)), None, SetClock(0), tmp_path)
    frames = list(source.frames())
    assert len(frames) == 10
    assert frames[-1].at.mono_s == pytest.approx(1.8)
    assert frames[9].pixels is not None
    assert frames[9].pixels.mean() == pytest.approx(90, abs=3)


def test_a_lower_rate_thins_a_video_without_changing_its_time(tmp_path):
    source = open_source(f"video:{write_video(tmp_path / 'v.avi', 20, 10)}", 2, SetClock(0), tmp_path)
    assert source.interval_s == 0.5
    assert [frame.at.mono_s for frame in source.frames()] == [0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folder:{tmp}/missing", "no such source"),
        ("{tmp}", "no pictures in this folder"),
        ("{tmp}/broken.mp4", "not a video that can be read"),
        ("camera:93", r"camera /dev/video93 can't be opened: check that it exists"),
        ("picamera:0", "Raspberry Pi cameras need Picamera2: apt install python3-picamera2"),
        ("watch:{tmp}/missing", r"watch:.*/missing can't be read: No such file or directory: make or mount it"),
        ("camera:front", "a whole number belongs behind the colon"),
        ("rendered:x", "a whole number belongs behind the colon"),
        ("rendered:7:x", "a whole number belongs behind the colon"),
    ],
)
def test_a_source_that_gives_nothing_is_refused_by_name(tmp_path, spec, message):
    (tmp_path / "broken.mp4").write_bytes(b"this is no video" * 100)
    with pytest.raises(SourceError, match=message):
        open_source(spec.format(tmp=tmp_path), None, SetClock(), tmp_path)


def test_the_rendered_board_is_the_same_for_the_same_seed():
    first = next(RenderedSource(7, 10, SetClock()).frames()).pixels
    second = next(RenderedSource(7, 10, SetClock()).frames()).pixels
    other = next(RenderedSource(8, 10, SetClock()).frames()).pixels
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_rendered_replay_shows_the_live_board_in_its_own_time_and_ends():
    replay = open_source("rendered:7:2", 5, SetClock(), Path())
    frames = list(replay.frames())
    assert (replay.pace, len(frames)) == ("replay", 10)
    assert [round(frame.at.mono_s - 100, 6) for frame in frames[:3]] == [0, 0.2, 0.4]
    assert np.array_equal(frames[0].pixels, next(RenderedSource(7, 5, SetClock()).frames()).pixels)


@pytest.mark.parametrize(
    ("spec", "visible"),
    [
        ("rtsp://user:secret@cam.example:8554/user=admin_password=secret", "rtsp://cam.example:8554"),
        ("rtsps://user:se%40cret@cam.example", "rtsps://cam.example"),
        ("gstreamer:rtspsrc location=rtsp://u:secret@h/ user-pw=secret ! decodebin", "gstreamer:rtspsrc ! decodebin"),
        ("camera:/dev/v4l/by-id/usb-cam@1280x720", "camera:/dev/v4l/by-id/usb-cam@1280x720"),
    ],
)
def test_what_logs_show_of_a_source_holds_no_secret(spec, visible):
    assert shown(spec) == visible
