"""The whole chain on this machine, by the very program behind `make demo`: a real broker, database and model."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from trap_deploy.demo import MODEL
from trap_deploy.ports import free_port

pytestmark = [
    pytest.mark.skipif(not MODEL.exists(), reason="models/yolov8n_kd.tflite is not there"),
    pytest.mark.xdist_group("demo"),
]


def command(tmp_path: Path, seconds: float, http: int, mqtt: int) -> list[str]:
    flags = ["--seconds", str(seconds), "--http-port", str(http), "--mqtt-port", str(mqtt)]
    return [sys.executable, "-m", "trap_deploy.demo", *flags, "--folder", str(tmp_path / "demo")]


@contextmanager
def running_demo(tmp_path: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    line = command(tmp_path, seconds, free_port(), free_port())
    environment = {**os.environ, "COLUMNS": "120"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.send_signal(signal.SIGINT)


def read_until(demo: subprocess.Popen[str], pattern: str, seen: list[str]) -> None:
    for line in demo.stdout:
        seen.append(line)
        if re.search(pattern, line):
            return
    pytest.fail(f"the demo ended before {pattern!r}:\n{''.join(seen)}")


def children_of(demo: subprocess.Popen[str]) -> dict[str, int]:
    """Process ids by role: broker, collector, trap."""
    listed = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(demo.pid)], capture_output=True, text=True)
    roles = {"mosquitto": "broker", "trap-server": "collector", "trap-agent": "trap"}
    found = {}
    for line in listed.stdout.splitlines():
        pid, arguments = line.split(maxsplit=1)
        found |= {role: int(pid) for word, role in roles.items() if word in arguments}
    return found


def numbers(text: str) -> dict[str, int]:
    words = {"published": "published by the trap", "stored": "stored by the collector", "acked": "acknowledged to"}
    return {name: int(re.search(rf"{word}.*?(\d+)", text).group(1)) for name, word in words.items()}


def test_a_demo_that_ends_by_itself_has_stored_every_published_window_once(tmp_path: Path):
    done = subprocess.run(command(tmp_path, 8, free_port(), free_port()), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = numbers(done.stdout)
    assert found["published"] == found["stored"] == found["acked"] > 0
    assert "every published window is stored exactly once" in done.stdout
    assert "dashboard: http://127.0.0.1:" in done.stdout


@pytest.mark.timeout(400)
def test_killing_collector_broker_and_trap_in_mid_run_loses_nothing(tmp_path: Path):
    seen: list[str] = []
    with running_demo(tmp_path, 40) as demo:
        read_until(demo, "first count stored", seen)
        link = re.search(r"dashboard: (\S+)", "".join(seen)).group(1)
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(link)
            assert page.url.path == "/"
            assert [trap["trap"] for trap in browser.get(page.url.join("/api/v1/traps")).json()["traps"]] == [
                "demo-trap"
            ]
        assert httpx.get(link).status_code == 410  # it lets in once
        for victim in ("collector", "broker", "trap"):
            os.kill(children_of(demo)[victim], signal.SIGKILL)
            read_until(demo, f"{victim} was killed by SIGKILL: started again", seen)
        rest, _ = demo.communicate(timeout=300)
    text = "".join(seen) + rest
    assert demo.returncode == 0, text
    assert numbers(text)["published"] > 0
    assert "every published window is stored exactly once" in text


def test_a_port_in_use_is_one_clear_line(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(command(tmp_path, 5, port, free_port()), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: port {port} is in use: end what uses it, or `make demo DEMO_HTTP_PORT={port + 1}`"
    ]


def test_a_missing_broker_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    from trap_contract.errors import ConfigError
    from trap_deploy.demo import prepare_site

    with pytest.raises(ConfigError, match="mosquitto is missing: install it with"):
        prepare_site(tmp_path / "demo", free_port(), free_port())


def test_the_demos_broker_is_plaintext_and_therefore_on_this_machine_alone(tmp_path: Path):
    from trap_deploy.demo import write_broker_config

    lines = write_broker_config(tmp_path, 18830).read_text().splitlines()
    assert [line for line in lines if line.startswith(("listener", "port"))] == ["listener 18830 127.0.0.1"]


def test_a_folder_that_holds_something_else_is_not_emptied(tmp_path: Path):
    kept = tmp_path / "letters.txt"
    kept.write_text("dear")
    line = [*command(tmp_path, 1, free_port(), free_port())[:-1], str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "holds no earlier demo" in done.stderr
    assert kept.read_text() == "dear"
