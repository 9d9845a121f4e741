"""The command line, as a user meets it."""

import json
import signal
import subprocess

import cv2
import pytest
import structlog
from trap_agent.commands import main
from trap_contract.messages import Window

from device.agents import command
from device.bundles import CLASSES, paint, save_pictures
from device.samples import draft
from device.test_outbox import opened


@pytest.fixture
def invoke(monkeypatch, capfd):
    """Run `trap-agent` with these arguments: exit status, standard output, standard error."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["trap-agent", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    yield run
    structlog.reset_defaults()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_help_fits_a_screen_and_names_the_sub_commands(invoke):
    status, out, _ = invoke("--help")
    lines = out.splitlines()
    assert status == 0
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    for word in ("--model", "--source", "--broker", "--stdout", "count", "outbox"):
        assert word in out


def test_stdout_gives_a_window_a_line(invoke, bundle, tmp_path):
    pictures = save_pictures(tmp_path, 65, "Female", "Undefined")
    status, out, err = invoke("--model", bundle, "--source", pictures, "--stdout", "--window", 30)
    windows = [Window.model_validate_json(line) for line in out.splitlines()]
    assert status == 0, err
    assert [window.seq for window in windows] == list(range(1, len(windows) + 1))
    assert sum(window.effort.frames_analysed for window in windows) == 65
    expected = {**dict.fromkeys(CLASSES, 0), "Female": 1, "Undefined": 1}
    assert all(window.counts == (expected if window.effort.frames_analysed else None) for window in windows)


def test_frames_gives_a_line_for_every_frame_too(invoke, bundle, tmp_path):
    pictures = save_pictures(tmp_path, 5, "Male")
    _, out, _ = invoke("--model", bundle, "--source", pictures, "--stdout", "--frames")
    frames = [json.loads(line) for line in out.splitlines() if line.startswith('{"frame"')]
    assert [frame["frame"] for frame in frames] == [1, 2, 3, 4, 5]
    assert all(frame["counts"] == {**dict.fromkeys(CLASSES, 0), "Male": 1} for frame in frames)
    assert frames[4]["wall_ms"] - frames[0]["wall_ms"] == 4000


def test_tiles_are_used_when_asked_for(invoke, bundle, tmp_path):
    board = cv2.hconcat([paint("Female", "Female", "Female", "Female")] * 4)
    cv2.imwrite(str(tmp_path / "board.png"), cv2.vconcat([board] * 4))
    _, whole, _ = invoke("count", "--model", bundle, tmp_path, "--json")
    _, tiled, _ = invoke("count", "--model", bundle, tmp_path, "--json", "--tile", 128)
    assert json.loads(whole)["counts"]["Female"] < json.loads(tiled)["counts"]["Female"]


def test_count_shows_a_row_a_picture_and_the_sum(invoke, bundle, tmp_path):
    save_pictures(tmp_path, 2, "Female", "Male", "Male")
    status, out, err = invoke("count", "--model", bundle, tmp_path)
    assert status == 0
    assert err == ""
    (total,) = [line for line in out.splitlines() if "Sum" in line]
    assert [word for word in total.split() if word.isdigit()] == ["2", "4", "0", "0", "0", "6"]
    assert str(tmp_path / "00001.png") in out


def test_count_json_has_every_class_and_boxes_in_px_of_the_picture(invoke, bundle, tmp_path):
    cv2.imwrite(str(tmp_path / "big.png"), cv2.resize(paint("Female"), (640, 640), interpolation=cv2.INTER_NEAREST))
    status, out, _ = invoke("count", "--model", bundle, tmp_path / "big.png", "--json")
    record = json.loads(out)
    assert status == 0
    assert record["picture"] == "big.png"
    assert record["counts"] == {**dict.fromkeys(CLASSES, 0), "Female": 1}
    assert record["boxes"] == [[20, 20, 300, 300, "Female", pytest.approx(1, abs=0.01)]]
    assert record["ms"] > 0


def test_count_reports_an_unreadable_picture_and_counts_the_others(invoke, bundle, tmp_path):
    save_pictures(tmp_path, 2, "Female")
    (tmp_path / "00000a.png").write_bytes(b"damaged")
    status, out, err = invoke("count", "--model", bundle, tmp_path)
    assert status == 1
    assert [line.split()[5] for line in out.splitlines() if "Sum" in line] != []
    assert err.splitlines() == [f"error: {tmp_path}/00000a.png: can't be read as a picture: mend or remove it"]
    status, out, _ = invoke("count", "--model", bundle, tmp_path, "--json")
    assert status == 1
    assert json.loads(out.splitlines()[1]) == {
        "picture": "00000a.png",
        "error": f"{tmp_path}/00000a.png: can't be read as a picture: mend or remove it",
    }


def test_a_threshold_above_every_score_counts_nothing(invoke, bundle, tmp_path):
    save_pictures(tmp_path, 1, "Female")
    cv2.imwrite(str(tmp_path / "00000.png"), paint("Female") // 4 * 3)
    _, out, _ = invoke("count", "--model", bundle, tmp_path, "--json", "--threshold", 0.8)
    assert json.loads(out)["counts"]["Female"] == 0


def test_outbox_is_found_where_the_agent_s_environment_says(invoke, tmp_path, monkeypatch):
    with opened(tmp_path) as outbox:
        outbox.store(draft())
    monkeypatch.setenv("TRAP_STATE_DIR", str(tmp_path))
    assert json.loads(invoke("outbox", "--json")[1])["boots"][0]["pending"] == 1


def test_outbox_accounts_for_every_window(invoke, tmp_path):
    with opened(tmp_path) as outbox:
        for _ in range(3):
            outbox.store(draft())
        outbox.acknowledge(outbox.held_ranges(1))
        outbox.store(draft())
        status, out, _ = invoke("outbox", "--state-dir", tmp_path, "--json")
        _, table, _ = invoke("outbox", "--state-dir", tmp_path)
    account = json.loads(out)
    assert status == 0
    assert {name: account[name] for name in ("trap", "tenant", "issued", "acknowledged", "pending", "dropped")} == {
        "trap": "t-1",
        "tenant": "acme",
        "issued": 4,
        "acknowledged": 3,
        "pending": 1,
        "dropped": 0,
    }
    assert [boot["issued"] for boot in account["boots"]] == [4]
    assert "acknowledged" in table


BAD_RUNS = [
    (("--source", "x", "--stdout"), "model is not set"),
    (("--model", "{bundle}", "--stdout"), "source is not set"),
    (("--model", "{tmp}/none.tflite", "--source", "{tmp}", "--stdout"), "none.tflite: no such model"),
    (("--model", "{tmp}/torn.onnx", "--source", "{tmp}", "--stdout"), "torn.onnx: not an ONNX model"),
    (("--model", "{tmp}/torn.tflite", "--source", "{tmp}", "--stdout"), "torn.tflite: not a TFLite model"),
    (("--model", "{bundle}", "--source", "{tmp}", "--stdout"), "no pictures in this folder"),
    (("--model", "{bundle}", "--source", "{tmp}/no", "--stdout"), "no such source"),
    (("--model", "{bundle}", "--source", "{tmp}/broken.mp4", "--stdout"), "broken.mp4: not a video"),
    (("--model", "{bundle}", "--source", "camera:93", "--stdout"), "camera /dev/video93 can't be opened"),
    (
        ("--model", "{bundle}", "--source", "{tmp}", "--broker", "localhost:1883"),
        "--broker: the broker's address is malformed",
    ),
    (("--model", "{bundle}", "--source", "{tmp}"), "nowhere to deliver"),
    (("--model", "{bundle}", "--source", "{tmp}", "--broker", "mqtt://x", "--frames"), "give --stdout with it"),
    (("--model", "{bundle}", "--source", "{tmp}", "--config", "{tmp}/bad.toml"), "bad.toml, line 2, windw"),
    (("count", "--model", "{bundle}", "{tmp}"), "no pictures in this folder"),
    (("count", "--model", "{bundle}", "{tmp}/no.png"), "no such file or folder"),
    (("count", "--model", "{tmp}/none.onnx", "{tmp}/torn.onnx"), "none.onnx: no such model"),
    (("count", "{tmp}/torn.onnx"), "model is not set"),
    (("count", "--model", "{bundle}", "{tmp}/torn.onnx", "--threshold", "7"), "--threshold: "),
    (("count", "--model", "{bundle}", "{tmp}/torn.onnx", "--tile", "20"), "--tile: "),
    (("outbox", "--state-dir", "{tmp}"), "no outbox here"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_RUNS)
def test_what_can_not_work_ends_with_one_line_and_status_1(invoke, bundle, tmp_path, arguments, message):
    for name in ("torn.onnx", "torn.tflite", "broken.mp4"):
        (tmp_path / name).write_bytes(b"torn" * 100)
    (tmp_path / "bad.toml").write_text("tile = 640\nwindw = 9\n")
    status, out, err = invoke(*(argument.format(bundle=bundle, tmp=tmp_path) for argument in arguments))
    (line,) = [line for line in err.splitlines() if "[info" not in line]
    assert (status, out) == (1, "")
    assert line.startswith("error: ")
    assert message in line


def test_a_reader_that_goes_away_ends_the_agent_quietly(bundle):
    arguments = ("--model", bundle, "--source", "rendered:1", "--stdout", "--frames", "--log-json")
    agent = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert agent.stdout is not None
    assert "counts" in agent.stdout.readline()
    agent.stdout.close()
    assert agent.wait(30) == 1
    assert agent.stderr is not None
    assert [json.loads(line)["event"] for line in agent.stderr.read().splitlines()] == [
        "no corrected counts",
        "counting",
    ]
