"""The live view, over real sockets."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from trap_agent.preview import drawing, previewed
from trap_agent.preview.server import MOST_CONNECTIONS, PreviewServer
from trap_agent.preview.stage import About, Stage
from trap_agent.sources import Frame
from trap_contract.detections import Detections
from trap_contract.errors import ConfigError
from waiting import until

from device.samples import CLASSES, found, moment

ABOUT = About("t-1", "quadrants", "onnx-cpu, 1 threads", 0.5, CLASSES)
TOKEN = "a-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
DEADLINE_S = 20


def frame(value: int = 100) -> Frame:
    return Frame(np.full((64, 96, 3), value, np.uint8), moment(0))


@pytest.fixture
def stage():
    return Stage(ABOUT)


@pytest.fixture
def server(stage):
    with PreviewServer(("127.0.0.1", 0), stage, TOKEN) as running:
        yield running


def ask(server: PreviewServer, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
    connection.request("GET", path, headers=headers or {})
    return connection.getresponse()


@contextmanager
def streaming(server: PreviewServer) -> Iterator[http.client.HTTPResponse]:
    response = ask(server, "/stream", BEARER)
    assert response.status == 200
    try:
        yield response
    finally:
        response.close()


def next_picture(response: http.client.HTTPResponse) -> np.ndarray:
    """The next part of the stream, decoded."""
    assert response.readline() == b"--picture\r\n"
    head = {}
    while line := response.readline().strip():
        name, _, value = line.partition(b": ")
        head[name] = value
    assert head[b"Content-Type"] == b"image/jpeg"
    data = response.read(int(head[b"Content-Length"]))
    assert response.readline() == b"\r\n"
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("path", ["/", "/stream", "/status", "/page.js", "/nothing"])
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer a-tokem"}, {"Cookie": "preview=a-token"}, {"Cookie": "\x01;=,"}]
)
def test_without_the_token_nothing_is_shown(server, path, headers):
    response = ask(server, path, headers)
    assert response.status == 401
    assert b"needs the token" in response.read()


def test_the_address_with_its_token_becomes_a_cookie_that_scripts_can_not_read(server):
    response = ask(server, f"/?token={TOKEN}")
    assert (response.status, response.headers["Location"]) == (303, "/")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite" in cookie
    assert ask(server, "/", {"Cookie": cookie.partition(";")[0]}).status == 200
    assert ask(server, "/?token=wrong").status == 401


def test_a_token_that_is_not_ascii_is_only_wrong(server):
    assert ask(server, "/?token=%C3%A9").status == 401


def test_the_page_runs_no_script_but_its_own(server):
    response = ask(server, "/", BEARER)
    page = response.read().decode()
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page
    for name in ("page.css", "page.js"):
        assert name in page
        assert ask(server, f"/{name}", BEARER).status == 200
    assert ask(server, "/page.html", BEARER).status == 404


def test_the_status_has_counts_effort_model_and_threshold(server, stage):
    assert json.loads(ask(server, "/status", BEARER).read())["counts"] is None
    for _ in range(3):
        stage.show(frame(), found(0, 0, 1))
    status = json.loads(ask(server, "/status", BEARER).read())
    assert status["counts"] == {**dict.fromkeys(CLASSES, 0), "Female": 2, "Male": 1}
    assert (status["frames"], status["model"], status["threshold"], status["trap"]) == (3, "quadrants", 0.5, "t-1")
    assert status["age_s"] >= 0


def test_the_stream_shows_what_is_analysed_with_boxes(server, stage):
    boxes = np.array([[10, 20, 40, 50]], np.float32)
    with streaming(server) as response:
        assert next_picture(response).shape == drawing.waiting().shape
        stage.show(frame(100), Detections(boxes, np.array([0.9], np.float32), np.array([0])))
        until(lambda: next_picture(response).shape[1] == 640, "the frame is shown")
        shown = next_picture(response)
    scale = 640 / 96
    edge = shown[round(35 * scale), round(10 * scale)].astype(int)
    assert np.abs(edge - drawing.COLOURS[0]).max() < 60
    assert np.abs(shown[5, 5].astype(int) - 100).max() < 10


def test_pictures_are_drawn_only_for_those_who_look_and_once_for_all(server, stage, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "trap_agent.preview.stage.annotated", lambda pixels, *_: drawn.append(int(pixels[0, 0, 0])) or pixels
    )
    stage.show(frame(1), found())
    stage.show(frame(2), found())
    assert drawn == []
    with streaming(server) as first, streaming(server) as second:
        next_picture(first)
        next_picture(second)
    assert drawn == [2]


def test_a_viewer_that_takes_nothing_never_holds_up_the_analysis(server, stage):
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as deaf:
        deaf.sendall(f"GET /stream HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert deaf.recv(100)
        shown = threading.Event()

        def analyse() -> None:
            rng = np.random.default_rng(0)
            for _ in range(50):
                stage.show(Frame(rng.integers(0, 255, (480, 640, 3), np.uint8), moment(0)), found(0))
            shown.set()

        threading.Thread(target=analyse).start()
        assert shown.wait(DEADLINE_S)


def test_more_viewers_than_there_are_places_are_turned_away_and_come_in_later(server, stage):
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_CONNECTIONS)]
    refused = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)
    assert refused.recv(100).startswith(b"HTTP/1.0 503")
    for connection in (*idle, refused):
        connection.close()

    def may_look() -> bool:
        try:
            return ask(server, "/status", BEARER).status == 200
        except ConnectionError:
            return False

    until(may_look, "a place became free")


def test_a_viewer_that_goes_away_frees_its_place(server, stage):
    for _ in range(3 * MOST_CONNECTIONS):
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(f"GET /status HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            gone.recv(10)
    until(lambda: ask(server, "/status", BEARER).status == 200, "it still answers")


def test_frames_of_all_sizes_and_any_number_of_boxes_can_be_drawn():
    rng = np.random.default_rng(3)
    for width, height in ((1, 1), (64, 64), (4000, 30), (2000, 3000)):
        boxes = rng.uniform(-10, 4000, (9, 4)).astype(np.float32)
        many = Detections(boxes, rng.random(9).astype(np.float32), np.arange(9) % 5)
        drawn = drawing.annotated(rng.integers(0, 255, (height, width, 3), np.uint8), many, CLASSES)
        assert 1 <= drawn.shape[1] <= drawing.WIDEST


def test_the_address_is_logged_once_and_both_are_told_of_frames():
    seen = []
    with capture_logs() as logs, previewed(("127.0.0.1", 0), ABOUT, lambda *told: seen.append(told)) as tell:
        assert tell is not None
        tell(frame(), found(1))
        (url,) = [entry["url"] for entry in logs if "url" in entry]
    assert len(seen) == 1
    assert url.startswith("http://127.0.0.1:")
    assert len(url.partition("token=")[2]) >= 32


def test_without_an_address_there_is_no_preview():
    with previewed(None, ABOUT, None) as tell:
        assert tell is None


def test_a_port_that_is_taken_is_said(server):
    with pytest.raises(ConfigError, match="can't listen there"), previewed(("127.0.0.1", server.port), ABOUT, None):
        pass
