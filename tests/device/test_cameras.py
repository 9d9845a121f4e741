"""Each kind of camera: a fake V4L2 device, a network camera over real RTSP, GStreamer's own test picture."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from trap_agent.sources import cameras, captured, rtsp, v4l2
from trap_agent.sources.captured import CapturedSource
from trap_agent.sources.gstreamer import GstreamerCamera, csi_pipeline
from trap_agent.sources.rtsp import RtspCamera
from trap_agent.sources.v4l2 import V4l2Camera
from trap_contract.errors import SourceError

from device.bundles import paint
from device.rtsp import PASSWORD, network_camera

MJPG = cv2.VideoWriter.fourcc(*"MJPG")
JPEG = cv2.imencode(".jpg", paint("Female"))[1]


class FakeDevice:
    """A USB camera that knows 640x480 and 1280x720, the larger one as MJPG only, and gives what is in `shots`."""

    shots: ClassVar[list[np.ndarray]] = []

    def __init__(self, device: str, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        self.device, self.taken = device, -1
        self.values = {cv2.CAP_PROP_FPS: 5.0, cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480}

    def isOpened(self) -> bool:
        return self.device.startswith("/dev/")

    def get(self, name: int) -> float:
        return self.values.get(name, 0)

    def set(self, name: int, value: float) -> bool:
        is_large = name == cv2.CAP_PROP_FRAME_WIDTH and value > 1280
        if not is_large:
            self.values[name] = value
        return not is_large

    def grab(self) -> bool:
        self.taken += 1
        return self.taken < len(self.shots)

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        shot = self.shots[self.taken]
        return shot is not None, shot

    def release(self) -> None:
        self.device = ""


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(v4l2.cv2, "VideoCapture", FakeDevice)
    return FakeDevice


def test_a_torn_mjpg_frame_of_a_usb_camera_is_unreadable_and_not_grey(device):
    torn = JPEG[: len(JPEG) // 2]
    device.shots = [
        JPEG.reshape(1, -1),
        torn.reshape(1, -1),
        np.concatenate([JPEG, np.zeros(99, np.uint8)])[None],
        None,
    ]
    camera = V4l2Camera("/dev/video0", (1280, 720))
    seen = []
    while camera.grab():
        seen.append(camera.retrieve())
    assert [pixels is None for pixels in seen] == [False, True, False, True]
    assert seen[0].shape == (64, 64, 3)
    assert camera.rate == 5.0


def test_a_usb_camera_without_mjpg_gives_the_pixels_that_opencv_made(device):
    device.shots = [paint("Male")]
    camera = V4l2Camera("/dev/video0", None)
    assert camera.grab()
    assert np.array_equal(camera.retrieve(), paint("Male"))


def test_a_size_that_a_usb_camera_does_not_have_is_refused(device):
    with pytest.raises(SourceError, match="gives 640x720, not 1920x720: ask for a size that `v4l2-ctl"):
        V4l2Camera("/dev/video0", (1920, 720))


@pytest.mark.parametrize(
    ("spec", "opened"),
    [
        ("camera:2", ("/dev/video2", None)),
        ("camera:2@1280x720", ("/dev/video2", (1280, 720))),
        ("camera:/dev/v4l/by-id/usb-a@b", ("/dev/v4l/by-id/usb-a@b", None)),
        ("camera:/dev/v4l/by-id/usb-cam@640x480", ("/dev/v4l/by-id/usb-cam", (640, 480))),
    ],
)
def test_a_usb_camera_goes_by_number_or_by_a_name_that_stays(monkeypatch, spec, opened):
    monkeypatch.setattr(v4l2, "V4l2Camera", lambda *arguments: arguments)
    assert cameras.open_camera(spec) == opened


def test_a_network_camera_shows_its_pictures_and_a_hang_is_its_end(monkeypatch):
    monkeypatch.setattr(rtsp, "_TIMEOUT_MS", 1000)
    with network_camera(paint(None, "Female")) as real:
        camera = RtspCamera(real.address())
        assert camera.rate == 25
        assert camera.grab()
        pixels = camera.retrieve()
        assert pixels[16, 16].max() < 20
        assert pixels[16, 48, 2] > 200
        real.hangs.set()
        while camera.grab():
            pass
        camera.close()


@pytest.mark.parametrize("password", ["wrong", PASSWORD + "?"])
def test_a_network_camera_that_refuses_is_named_without_the_password(password):
    with network_camera(paint("Female")) as real, pytest.raises(SourceError) as refused:
        RtspCamera(real.address(password))
    assert str(refused.value).startswith(f"rtsp://127.0.0.1:{real.port} can't be opened")
    assert password not in str(refused.value)


def test_no_list_of_processes_shows_a_network_cameras_password():
    with network_camera(paint("Female")) as real:
        source = CapturedSource(real.address(), 5)
        frames = source.frames()
        while (frame := next(frames)) is None:
            pass
        assert frame.pixels is not None
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        frames.close()
    assert any(b"trap_agent.sources.capture" in line for line in lines)
    assert not any(PASSWORD.encode() in line for line in lines)


def test_a_missing_gstreamer_names_the_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(SourceError, match=r"apt install python3-gi gir1\.2-gstreamer-1\.0"):
        GstreamerCamera("videotestsrc")


@pytest.mark.parametrize(("size", "caps"), [(None, "width=1920,height=1080"), ((1280, 720), "width=1280,height=720")])
def test_a_jetson_camera_is_a_pipeline_of_its_sensor_and_size(size, caps):
    assert csi_pipeline(1, size).startswith(f"nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),{caps} ! ")


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """A busy machine starts a process slowly."""
    for limit in ("_OPEN_S", "_SILENCE_S", "_FAREWELL_S"):
        monkeypatch.setattr(captured, limit, 100.0)


@pytest.fixture
def gi(tmp_path, monkeypatch):
    """Debian's PyGObject for this interpreter, and nothing else of Debian's."""
    debian = Path("/usr/lib/python3/dist-packages/gi")
    (tmp_path / "gi").symlink_to(debian)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    probe = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); "
    probe += "assert Gst.ElementFactory.find('videotestsrc'), 'no videotestsrc'"
    tried = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    if tried.returncode:
        why = tried.stderr.strip().splitlines()[-1]
        pytest.skip(f"needs apt: python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base, for this Python: {why}")


def watch(source: CapturedSource) -> tuple[list[np.ndarray], str]:
    seen = []
    with pytest.raises(SourceError) as lost:
        seen.extend(frame.pixels for frame in source.frames() if frame is not None)
    return seen, str(lost.value)


@pytest.mark.usefixtures("gi")
def test_a_gstreamer_pipeline_gives_its_picture_row_by_row():
    pipeline = "videotestsrc pattern=red num-buffers=9 is-live=true ! video/x-raw,width=321,height=240,framerate=10/1"
    source = CapturedSource(f"gstreamer:{pipeline}", 5)
    assert source.interval_s == pytest.approx(0.2)
    seen, words = watch(source)
    assert len(seen) >= 2
    assert seen[0].shape == (240, 321, 3)
    assert np.abs(seen[0].astype(int) - (0, 0, 255)).max() < 8
    assert words.startswith("gstreamer:videotestsrc ! video/x-raw,")


@pytest.mark.usefixtures("gi")
@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("csi:0", r"nvarguscamerasrc .* is no pipeline that runs here: no element \"nvarguscamerasrc\""),
        (
            "gstreamer:filesrc location=/none/s3cret ! decodebin",
            r"Resource not found.*try the pipeline with gst-launch",
        ),
    ],
)
def test_a_gstreamer_pipeline_that_can_not_run_says_why(pipeline, words):
    with pytest.raises(SourceError, match=words) as refused:
        CapturedSource(pipeline, None)
    assert "s3cret" not in str(refused.value)
