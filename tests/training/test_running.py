"""Runs: refused before any training when they can't go well, and finished in spite of every power failure."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from discs import CLASSES
from pupil import write_network
from trap_contract.dataset import DataSet
from trap_contract.errors import ConfigError, DataError
from trap_training.pictures.rendering import render_dataset
from trap_training.recipe import Recipe
from trap_training.running import Run

pytestmark = pytest.mark.timeout(900)  # the run is made within the first test that asks for it
CRASHING = Path(__file__).with_name("crashing.py")
QUICK = {"batch": 8, "warmup_epochs": 0}


@dataclass(frozen=True)
class FinishedRun:
    """A distilled run that died at every point of crashing.py and was started again each time."""

    place: Path
    exits: dict[str, int]
    rows_at_crash: int
    teacher_at_crash: bytes
    output: str
    network: str

    @property
    def folder(self) -> Path:
        return self.place / "runs" / "tiny"

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return content


def write_recipe(folder: Path, data: Path, **changes: Any) -> Path:
    """A recipe for the smallest networks: a teacher for one epoch, a distilled student for two."""
    network = str(write_network(folder))
    content = {
        "name": "tiny",
        "data": str(data),
        "imgsz": 64,
        "teacher": {"model": network, "epochs": 1},
        "student": {"model": network, "epochs": 2},
        "distillation": {"terms": [{"term": "response"}, {"term": "native"}]},
        "optimisation": QUICK,
    }
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(content | changes))
    return file


def results(folder: Path, part: str) -> list[dict[str, str]]:
    with (folder / part / "results.csv").open() as file:
        return [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    place = tmp_path_factory.mktemp("run")
    for _ in render_dataset(place / "data", {"train": 16, "val": 8}, 64, 0, 1):
        pass
    recipe = write_recipe(place, place / "data" / "data.yaml")
    before = set(place.iterdir())
    log, exits, folder = place / "network.txt", {}, place / "runs" / "tiny"
    teacher, rows = b"", 0
    for point in ("teacher-trained", "student-epoch", "student-evaluated", "never"):
        command = [sys.executable, CRASHING, log, point, "run", recipe, "--threads", "1", "--json"]
        run = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=280)
        exits[point] = run.returncode
        if point == "teacher-trained":
            teacher = (folder / "teacher" / "weights" / "best.pt").read_bytes()
        if point == "student-epoch":
            rows = len(results(folder, "student"))
    assert run.returncode == 0, run.stderr
    assert set(place.iterdir()) - before == {log, place / "runs"}
    return FinishedRun(place, exits, rows, teacher, run.stdout, log.read_text())


def test_a_run_was_killed_at_every_point_and_then_finished(finished_run: FinishedRun) -> None:
    killed = -signal.SIGKILL
    assert finished_run.exits == {
        "teacher-trained": killed,
        "student-epoch": killed,
        "student-evaluated": killed,
        "never": 0,
    }


def test_a_trained_teacher_is_not_trained_again(finished_run: FinishedRun) -> None:
    assert (finished_run.folder / "teacher" / "weights" / "best.pt").read_bytes() == finished_run.teacher_at_crash


def test_a_killed_student_goes_on_where_it_stood(finished_run: FinishedRun) -> None:
    assert finished_run.rows_at_crash == 1
    assert [row["epoch"] for row in results(finished_run.folder, "student")] == ["1", "2"]


def test_a_run_folder_holds_recipe_data_report_metrics_and_plots(finished_run: FinishedRun) -> None:
    for name in ("recipe.json", "data.yaml", "report.json", "teacher.png", "student.png"):
        assert (finished_run.folder / name).stat().st_size > 0, name
    for part in ("teacher", "student"):
        assert (finished_run.folder / part / "weights" / "best.pt").is_file()
        assert (finished_run.folder / part / "results.csv").is_file()


def test_the_student_was_distilled_to_its_end_and_the_teacher_was_not(finished_run: FinishedRun) -> None:
    for row in results(finished_run.folder, "student"):
        assert float(row["train/response_loss"]) > 0
        assert float(row["train/native_loss"]) > 0
        assert float(row["val/response_loss"]) == 0
    assert "train/response_loss" not in results(finished_run.folder, "teacher")[0]


@pytest.mark.usefixtures("quiet")
def test_the_weights_are_a_plain_student_without_its_teacher(finished_run: FinishedRun) -> None:
    from ultralytics import YOLO

    sizes = {}
    for part in ("teacher", "student"):
        model = YOLO(str(finished_run.folder / part / "weights" / "best.pt"))
        assert type(model.model).__name__ == "DetectionModel"
        assert tuple(model.names.values()) == CLASSES
        sizes[part] = sum(weight.numel() for weight in model.model.parameters())
    assert sizes["student"] == sizes["teacher"]


def test_the_report_says_what_was_made_from_what(finished_run: FinishedRun) -> None:
    report, data = finished_run.report, DataSet.load(finished_run.place / "data" / "data.yaml")
    assert report["dataset_digest"] == {split: data.digest(split) for split in ("train", "val")}
    assert report["classes"] == list(CLASSES)
    terms = report["recipe"]["distillation"]["terms"]
    assert [(term["term"], term["weight"]) for term in terms] == [("response", 1.0), ("native", 6.0)]
    assert {"torch", "ultralytics"} <= set(report["tools"])
    assert set(report["parts"]) == {"teacher", "student"}
    for part in report["parts"].values():
        assert 0 <= part["map50_95"] <= part["map50"] <= 1
        assert part["parameters"] > 100_000


def test_json_on_stdout_is_the_report_and_nothing_else_around_it(finished_run: FinishedRun) -> None:
    assert json.loads(finished_run.output) == finished_run.report


def test_a_run_looks_nothing_up_on_the_network(finished_run: FinishedRun) -> None:
    assert finished_run.network == ""


def test_the_recorder_of_network_access_does_record(tmp_path: Path) -> None:
    look_up = "import socket; socket.getaddrinfo('localhost', 80)"
    program = f"import crashing, pathlib; crashing.watch(pathlib.Path('log')); {look_up}"
    environment = {"PYTHONPATH": str(CRASHING.parent)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert "socket.getaddrinfo" in (tmp_path / "log").read_text()


def test_a_finished_run_does_nothing_more(finished_run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def stamps() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in finished_run.folder.rglob("*.pt")}

    before, report = stamps(), finished_run.report
    monkeypatch.chdir(finished_run.place)
    recipe = Recipe.load(finished_run.place / "recipe.yaml")
    again = Run(recipe, finished_run.folder, "cpu").carry_out()
    assert (stamps(), json.loads(again.read_text())) == (before, report)


def test_a_folder_of_another_recipe_is_refused(finished_run: FinishedRun) -> None:
    recipe = Recipe.load(finished_run.place / "recipe.yaml").model_copy(update={"seed": 9})
    with pytest.raises(ConfigError, match="holds a run of another recipe: give another --runs or remove it"):
        Run(recipe, finished_run.folder, "cpu").carry_out()


def carry_out(folder: Path, data: Path, **changes: Any) -> Path:
    return Run(Recipe.load(write_recipe(folder, data, **changes)), folder / "run", "cpu").carry_out()


def test_a_teacher_as_it_is_whose_classes_are_in_another_order_is_refused(
    checkpoint: Callable[..., Path], discs: Path, tmp_path: Path
) -> None:
    foreign = str(checkpoint(names=(*reversed(CLASSES),)))
    with pytest.raises(DataError, match=r"its classes .* are not those of .*data\.yaml, in order: ") as caught:
        carry_out(tmp_path, discs, teacher={"model": foreign, "epochs": 0})
    assert foreign in str(caught.value)
    assert not (tmp_path / "run" / "teacher").exists()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", b"\x80\x04."], ids=len)
def test_a_corrupt_checkpoint_is_refused(discs: Path, tmp_path: Path, damage: bytes) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes(damage)
    with pytest.raises(DataError, match=r"broken\.pt: not a network that Ultralytics can read"):
        carry_out(tmp_path, discs, teacher={"model": str(broken), "epochs": 1})


@pytest.mark.usefixtures("quiet")
def test_a_missing_checkpoint_or_network_is_refused(discs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.pt: no such checkpoint"):
        carry_out(tmp_path, discs, teacher={"model": str(tmp_path / "gone.pt"), "epochs": 1})
    with pytest.raises(DataError, match=r"gone\.yaml: not a network that Ultralytics can read"):
        carry_out(tmp_path, discs, teacher={"model": str(tmp_path / "gone.yaml"), "epochs": 1})


@pytest.mark.usefixtures("quiet")
def test_a_recipe_refused_for_its_networks_can_be_mended(discs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such checkpoint"):
        carry_out(tmp_path, discs, teacher={"model": str(tmp_path / "gone.pt"), "epochs": 1})
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_a_data_set_with_download_is_refused_and_not_run(tmp_path: Path) -> None:
    data = tmp_path / "data.yaml"
    data.write_text(f"train: a\nval: a\nnames: [a]\ndownload: open({str(tmp_path / 'proof')!r}, 'w')\n")
    with pytest.raises(DataError, match="has a 'download:' entry"):
        carry_out(tmp_path, data)
    assert not (tmp_path / "proof").exists()
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_val_is_refused(discs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.yaml"
    data.write_text(f"train: {discs.parent / 'images' / 'train'}\nnames: [a]\n")
    with pytest.raises(DataError, match="has no split 'val', only train"):
        carry_out(tmp_path, data)


@pytest.mark.usefixtures("quiet")
def test_a_part_whose_last_checkpoint_is_damaged_says_what_to_remove(discs: Path, tmp_path: Path) -> None:
    weights = tmp_path / "run" / "teacher" / "weights"
    weights.mkdir(parents=True)
    (weights / "last.pt").write_bytes(b"cut off")
    with pytest.raises(
        DataError, match=r"last\.pt: damaged, so training can't go on: remove .*teacher to train it again"
    ):
        carry_out(tmp_path, discs)


def test_a_wrong_recipe_ends_the_command_in_one_line(tmp_path: Path) -> None:
    program = "from trap_training.train_commands import main; main()"
    command = [sys.executable, "-c", program, "run", "gone.yaml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (1, "error: gone.yaml: no such recipe: No such file or directory\n")
    assert list(tmp_path.iterdir()) == []
