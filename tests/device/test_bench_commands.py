"""`trap-bench`, run for real on the shipped models."""

import json
from pathlib import Path

import pytest
from trap_agent import bench_commands
from trap_agent.benching import conditions
from trap_agent.benching.scopes import SCOPES

from device.bundles import save_pictures

MODELS = Path(__file__).resolve().parents[2] / "models"
SHORT = ("--seconds", 0, "--rounds", 2)


@pytest.fixture
def bench(monkeypatch, capfd):
    """Run `trap-bench` with these arguments: exit status, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["trap-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            bench_commands.main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def pictures(tmp_path):
    return save_pictures(tmp_path / "pictures", 2, "Female", "Male")


def test_the_shipped_models_are_measured_against_each_other(bench, pictures):
    models = (MODELS / "yolov8n_kd.tflite", MODELS / "trapboard_n.tflite")
    status, out, err = bench("--compare", *models, "--threads", "1,2", "--pictures", pictures, *SHORT, "--json")
    record = json.loads(out)
    assert status == 0, err
    assert {(run["model"], run["threads"], run["scope"]) for run in record["runs"]} == {
        (model.name, threads, scope) for model in models for threads in (1, 2) for scope in SCOPES
    }
    assert all(len(run["samples_ms"]) == 2 == run["milliseconds"]["count"] for run in record["runs"])
    assert [(row["threads"], row["scope"]) for row in record["ratios"]] == [(n, s) for n in (1, 2) for s in SCOPES]
    assert {model["precision"] for model in record["models"]} == {"int8"}
    assert record["frames"] == {"what": "photographs", "count": 2, "width": 64, "height": 64, "tile": None}
    assert any("short run" in text for text in record["departures"])
    assert record["void"] == []


def test_a_table_names_scopes_and_conditions(bench, bundle, pictures):
    status, out, _ = bench("--model", bundle, "--threads", 1, "--pictures", pictures, *SHORT)
    assert status == 0
    for word in (*SCOPES, "quadrants.onnx", "p99", "SoC", "kernel", "onnxruntime"):
        assert word in out


def test_without_pictures_boards_are_drawn_and_tiles_are_used_end_to_end(bench, bundle, monkeypatch):
    monkeypatch.setattr(bench_commands, "_RENDERED", (1, 320, 240))
    _, out, _ = bench("--model", bundle, "--threads", 1, "--tile", 200, *SHORT, "--json")
    assert json.loads(out)["frames"] == {"what": "drawn", "count": 1, "width": 320, "height": 240, "tile": 200}


def test_a_board_that_throttles_meanwhile_voids_the_run(bench, bundle, pictures, monkeypatch):
    bits = iter((0x0, 0x40004))
    monkeypatch.setattr(conditions, "_throttle", lambda _root: next(bits))
    status, out, _ = bench("--model", bundle, "--threads", 1, "--pictures", pictures, *SHORT)
    assert status == bench_commands.EXIT_VOID
    assert "void: throttled set in during the run" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to measure"),
        (("--model", "{bundle}", "--compare", "a", "b"), "nothing to measure"),
        (("--model", "{bundle}", "--threads", "1,x"), "--threads 1,x: give numbers"),
        (("--model", "{tmp}/none.onnx", "--pictures", "{pictures}"), "none.onnx: no such model"),
        (("--model", "{bundle}", "--pictures", "{tmp}/no"), "no such file or folder"),
        (("--model", "{bundle}", "--pictures", "{pictures}", "--tile", "20"), "--tile"),
    ],
)
def test_what_can_not_be_measured_ends_with_one_line_and_status_1(bench, bundle, pictures, arguments, message):
    filled = [argument.format(bundle=bundle, tmp=pictures.parent, pictures=pictures) for argument in arguments]
    status, out, err = bench(*filled, "--seconds", 0)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert message in err


def test_help_fits_a_screen(bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = bench("--help")
    assert status == 0
    assert len(out.splitlines()) <= 30
    assert max(map(len, out.splitlines())) <= 80
