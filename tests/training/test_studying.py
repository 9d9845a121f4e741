"""A whole study of the smallest networks, killed again and again, and what it leaves behind."""

import fcntl
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pupil import write_network
from trap_contract.errors import ConfigError, DataError
from trap_training.pictures.rendering import render_dataset
from trap_training.studies.plan import Study
from trap_training.studies.trial import Trial

pytestmark = pytest.mark.timeout(900)  # the study is made within the first test that asks for it
DYING = Path(__file__).with_name("studying_run.py")
TERMS = ("response", "softened", "localisation", "boxes", "hint", "cwd", "pkd", "deep_to_shallow", "native")
RELATIONS = ("batch_relation", "position_relation")


@dataclass(frozen=True)
class FinishedStudy:
    """A study that died after every fourth epoch and was started again each time."""

    place: Path
    deaths: int
    report: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.place / "runs" / "studies" / "tiny"


def write_study(folder: Path, **changes: Any) -> Path:
    network = str(write_network(folder))
    native = {"terms": [{"term": "native"}]}
    every = {"terms": [{"term": term} for term in (*TERMS, *RELATIONS)]}
    arms = {
        "normal": {"model": network, "epochs": 2},
        "native": {"model": network, "epochs": 2, "stored_views": False, "distillation": native},
        "ours": {"model": network, "epochs": 2, "distillation": every},
        "ours_retrained": {
            "start": "ours",
            "epochs": 1,
            "distillation": {"terms": [{"term": "response"}]},
            "pseudo_labels": {"confidence": 0.0001, "pictures": "unlabelled"},
        },
        "normal_long": {"start": "normal", "epochs": 1, "lr0": 0.001},
    }
    content = {
        "name": "tiny",
        "question": "does it run?",
        "data": str(folder / "data" / "data.yaml"),
        "imgsz": 64,
        "seeds": [0],
        "teacher": {"model": network, "epochs": 1},
        "optimisation": {"batch": 8, "nbs": 8, "warmup_epochs": 0},
        "augmentation": {"close_mosaic": 1},
        "arms": arms,
        "comparisons": [{"a": "ours", "b": "normal"}],
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return file


def make_data(folder: Path) -> Path:
    """Rendered pictures, eight of them without labels."""
    for _ in render_dataset(folder, {"train": 16, "val": 8, "test": 8, "unlabelled": 8}, 64, 0, 1):
        pass
    for file in (folder / "labels" / "unlabelled").iterdir():
        file.unlink()
    return folder / "data.yaml"


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    place = tmp_path_factory.mktemp("study")
    make_data(place / "data")
    study, deaths = write_study(place), 0
    command = [
        sys.executable,
        DYING,
        place / "epochs",
        "4",
        "study",
        study,
        "--threads",
        "1",
        "--out",
        "docs",
        "--json",
    ]
    for _ in range(6):
        run = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=400)
        if run.returncode != -signal.SIGKILL:
            break
        deaths += 1
    assert run.returncode == 0, run.stderr
    return FinishedStudy(place, deaths, json.loads(run.stdout))


def test_a_study_killed_after_every_fourth_epoch_is_finished(finished_study: FinishedStudy) -> None:
    assert finished_study.deaths == 2
    epochs = (finished_study.place / "epochs").stat().st_size
    assert epochs == 1 + 2 + 2 + 2 + 1 + 1, "an epoch that was saved is not trained again"


def test_the_report_has_every_arm_with_every_seed(finished_study: FinishedStudy) -> None:
    arms = finished_study.report["arms"]
    assert list(arms) == ["normal", "native", "ours", "ours_retrained", "normal_long"]
    assert all([run["seed"] for run in arm["runs"]] == [0] for arm in arms.values())
    for name in ("report.md", "report.json", "curves.png"):
        assert (finished_study.place / "docs" / "tiny" / name).stat().st_size > 0, name


def test_training_on_costs_what_came_before_it_too(finished_study: FinishedStudy) -> None:
    seen = {name: arm["runs"][0]["images_seen"] for name, arm in finished_study.report["arms"].items()}
    assert seen == {"normal": 32, "native": 32, "ours": 32, "ours_retrained": 32 + 24, "normal_long": 48}


def test_arms_with_the_same_pictures_share_their_views(finished_study: FinishedStudy) -> None:
    stores = list((finished_study.folder / "views").iterdir())
    assert len(stores) == 3, "normal and ours, ours_retrained, normal_long"
    assert sum(len(list(store.glob("answers_*"))) for store in stores) == 2


def test_the_student_is_trained_on_the_labels_that_the_teacher_gave(finished_study: FinishedStudy) -> None:
    (data,) = finished_study.folder.glob("pseudo_*.yaml")
    labelled, listed = yaml.safe_load(data.read_text())["train"]
    pictures = [Path(line) for line in Path(listed).read_text().splitlines()]
    assert Path(labelled).name == "train"
    assert len(pictures) == 8
    assert all((picture.parents[2] / "labels" / "train" / f"{picture.stem}.txt").stat().st_size for picture in pictures)


def test_what_is_finished_is_reported_without_training(finished_study: FinishedStudy, tmp_path: Path) -> None:
    study = Study.load(finished_study.place / "study.yaml")
    done = Trial(study, finished_study.folder, "cpu").carry_out(only_finished=True)
    assert [each.arm for each in done] == ["teacher", *study.arms]


@pytest.mark.parametrize(
    ("changes", "error", "what"),
    [
        ({"test": "field"}, DataError, "has no split 'field'"),
        ({"teacher": {"model": "none.pt", "epochs": 0}}, ConfigError, "no such checkpoint"),
        ({"imgsz": 96, "teacher": {"model": "TEACHER", "epochs": 0}}, DataError, "was trained at 64 px, not 96"),
        ({"data": "OTHER", "teacher": {"model": "TEACHER", "epochs": 0}}, DataError, "its classes .* are not those of"),
    ],
)
@pytest.mark.usefixtures("quiet")
def test_what_does_not_fit_is_refused_before_any_training(
    finished_study: FinishedStudy, tmp_path: Path, changes: dict[str, Any], error: type[Exception], what: str
) -> None:
    data = yaml.safe_load((finished_study.place / "data" / "data.yaml").read_text())
    places = {key: str(finished_study.place / "data" / value) for key, value in data.items() if key != "names"}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({**places, "names": ["b", "a", "c", "d", "e"]}))
    teacher = str(finished_study.folder / "teacher" / "weights" / "best.pt")
    text = json.dumps(changes).replace("TEACHER", teacher).replace("OTHER", str(tmp_path / "other.yaml"))
    write_study(tmp_path, **{"data": str(finished_study.place / "data" / "data.yaml"), **json.loads(text)})
    trial = Trial(Study.load(tmp_path / "study.yaml"), tmp_path / "run", "cpu")
    with pytest.raises(error, match=what):
        trial.carry_out()
    assert not (tmp_path / "run" / "teacher").exists()


@pytest.mark.usefixtures("quiet")
def test_a_folder_of_another_study_is_refused(finished_study: FinishedStudy, tmp_path: Path) -> None:
    file = write_study(tmp_path, data=str(finished_study.place / "data" / "data.yaml"), question="another one?")
    with pytest.raises(ConfigError, match="holds a run of another recipe"):
        Trial(Study.load(file), finished_study.folder, "cpu").carry_out()


@pytest.mark.usefixtures("quiet")
def test_two_processes_can_not_work_in_one_folder(finished_study: FinishedStudy) -> None:
    study = Study.load(finished_study.place / "study.yaml")
    with (finished_study.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another trap-train is at work here"):
            Trial(study, finished_study.folder, "cpu").carry_out()
