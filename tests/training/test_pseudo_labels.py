"""A teacher's labels: what it is sure of, on pictures that test nothing, with a balance of what was kept."""

import hashlib
import json
from pathlib import Path

import pytest
from discs import CLASSES, write_discs
from pupil import SIDE, write_checkpoint
from trap_contract.dataset import DataSet, read_labels
from trap_contract.errors import ConfigError, DataError
from trap_training.pseudo_labels import Labelling, balance

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and a teacher that knows it by heart."""
    folder = tmp_path_factory.mktemp("labelling")
    data = write_discs(folder / "data", train=12, val=6)
    write_checkpoint(folder, data=data)
    return folder


def labelling(place: Path, confidence: float = 0.40, where: str = "train") -> Labelling:
    return Labelling.of_place(place / "pupil.pt", place / "data" / "data.yaml", where, SIDE, confidence)


def test_what_is_written_is_a_data_set_of_what_the_teacher_is_sure_of(place: Path, tmp_path: Path) -> None:
    kept = list(labelling(place).write(tmp_path))
    data = DataSet.load(tmp_path / "data.yaml")
    assert data.names == CLASSES
    boxes = sum(len(read_labels(picture)) for picture in data.pictures("train"))
    assert boxes == sum(sum(each.kept.values()) for each in kept) > 0
    manifest = json.loads((tmp_path / "labels.json").read_text())
    scores = [score for found in manifest["scores"].values() for score in found]
    assert len(scores) == boxes
    assert min(scores) > 0.40
    assert manifest["teacher"] == hashlib.sha256((place / "pupil.pt").read_bytes()).hexdigest()


def test_a_picture_in_which_nothing_is_found_is_not_called_empty(place: Path, tmp_path: Path) -> None:
    kept = list(labelling(place).write(tmp_path))
    found = {each.picture.name for each in kept if each.kept}
    assert {picture.name for picture in DataSet.load(tmp_path / "data.yaml").pictures("train")} == found


def test_a_higher_confidence_keeps_less_and_the_balance_says_so(place: Path, tmp_path: Path) -> None:
    kept = list(labelling(place, 0.02).write(tmp_path / "low"))
    manifest = json.loads((tmp_path / "low" / "labels.json").read_text())
    scores = sorted(score for found in manifest["scores"].values() for score in found)
    kept_above = list(labelling(place, scores[-2]).write(tmp_path / "high"))
    rows, rows_above = balance(kept, CLASSES), balance(kept_above, CLASSES)
    assert [row["class"] for row in rows] == list(CLASSES)
    assert all(row["pictures"] <= row["kept"] for row in rows)
    assert sum(row["kept"] for row in rows) == len(scores)
    assert sum(row["kept"] for row in rows_above) <= 2 < len(scores)


def test_nothing_kept_is_an_error_and_not_an_empty_data_set(place: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"finds nothing above 0\.9999"):
        list(labelling(place, 0.9999).write(tmp_path))
    assert not (tmp_path / "data.yaml").exists()


@pytest.mark.parametrize("where", ["val", "test"])
def test_pictures_that_test_are_never_labelled(place: Path, where: str) -> None:
    with pytest.raises(ConfigError, match="could not be tested any more"):
        labelling(place, where=where)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 40.0])
def test_a_confidence_that_is_none_is_refused(place: Path, confidence: float) -> None:
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        labelling(place, confidence)


def test_a_teacher_of_other_classes_is_refused(place: Path, tmp_path: Path) -> None:
    other = write_checkpoint(tmp_path, names=tuple(reversed(CLASSES)))
    with pytest.raises(DataError, match="its classes"):
        Labelling.of_place(other, place / "data" / "data.yaml", "train", SIDE, 0.4)


def test_a_corrupt_teacher_is_refused(place: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes((place / "pupil.pt").read_bytes()[:1000])
    with pytest.raises(DataError, match="not a network that Ultralytics can read"):
        Labelling.of_place(broken, place / "data" / "data.yaml", "train", SIDE, 0.4)
