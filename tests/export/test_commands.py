"""trap-export from the command line: JSON for programs, one line for what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from discs import CLASSES
from trap_contract.bundle import bundle_digest, read_manifest
from trap_export.commands import app, main
from typer.testing import CliRunner


def trap_export(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the real command in a folder."""
    program = "from trap_export.commands import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_eval_prints_the_bundle_s_own_metrics_as_json_alone(
    bundles: dict[str, Path], discs: Path, tmp_path: Path
) -> None:
    bundle = bundles["onnx-int8"]
    run = trap_export(tmp_path, "eval", bundle, "--data", discs, "--json")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    manifest = read_manifest(bundle)
    assert manifest is not None
    assert manifest.metrics is not None
    assert found["sha256"] == bundle_digest(bundle)
    assert found["split"] == "val"
    assert found["map50_95"] == pytest.approx(manifest.metrics.map50_95, abs=1e-9)
    assert set(found["classes"]) <= set(CLASSES)


def test_eval_prints_a_table_of_classes(bundles: dict[str, Path], discs: Path, workplace: Path) -> None:
    result = CliRunner().invoke(app, ["eval", str(bundles["onnx-float32"]), "--data", str(discs), "--split", "train"])
    assert result.exit_code == 0
    for word in (*CLASSES, "mAP50-95", "on train, 48"):
        assert word in result.stdout


def test_show_prints_the_manifest(bundles: dict[str, Path], workplace: Path) -> None:
    result = CliRunner().invoke(app, ["show", str(bundles["openvino-int8"])])
    assert result.exit_code == 0
    manifest = read_manifest(bundles["openvino-int8"])
    assert manifest is not None
    assert json.loads(result.stdout[: result.stdout.index("\nsha256")])["head"] == manifest.head.model_dump(mode="json")
    assert manifest.golden[0].jpeg not in result.stdout
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "gone.onnx"], "gone.onnx: no such model"),
        (["eval", "gone.tflite", "--data", "data.yaml"], "gone.tflite: no such model"),
        (["build", "gone.pt", "--data", "gone.yaml", "--out", "out"], "gone.yaml: no such data set description"),
        (
            ["build", "gone.pt", "--data", "data.yaml", "--out", "out", "--imgsz", "1x2x3"],
            "--imgsz '1x2x3': give a side",
        ),
        (["build", "gone.pt", "--data", "data.yaml", "--out", "out", "--imgsz", "-64"], "--imgsz '-64': give a side"),
        (["build", "gone.pt", "--data", "data.yaml", "--out", "out", "--imgsz", "0"], "--imgsz '0': give a side"),
        (
            ["build", "gone.pt", "--data", "data.yaml", "--out", "out", "--report", "gone.json"],
            "gone.json: not a report",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_ends_in_one_line(
    workplace: Path,
    arguments: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (workplace / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    monkeypatch.setattr(sys, "argv", ["trap-export", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert complaint in line
    assert {path.name for path in workplace.iterdir()} == {"data.yaml"}
