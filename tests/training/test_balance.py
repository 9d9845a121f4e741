"""Boxes by class and split: counted once, told as a table and as a picture."""

import json
from pathlib import Path

import cv2
import pytest
from rich.console import Console
from trap_contract.dataset import DataSet, read_labels
from trap_training.data_commands import app
from trap_training.pictures.balance import balance_table, count_boxes, draw_balance
from typer.testing import CliRunner


@pytest.fixture
def data(discs: Path) -> DataSet:
    return DataSet.load(discs)


def test_every_box_is_counted_once(data: DataSet) -> None:
    pictures, boxes = count_boxes(data)
    assert pictures == {"train": 48, "val": 24}
    for split in data.splits:
        assert boxes[split].total() == sum(len(read_labels(picture)) for picture in data.pictures(split))


def test_the_table_has_a_row_for_each_class_even_an_empty_one(data: DataSet) -> None:
    pictures, boxes = count_boxes(data)
    boxes["val"].pop("Male")
    console = Console(width=100)
    with console.capture() as capture:
        console.print(balance_table(data, pictures, boxes))
    text = capture.get()
    assert all(name in text for name in data.names)
    (male,) = [line for line in text.splitlines() if "Male" in line]
    assert male.replace("│", " ").split()[-1] == "0"


def test_the_picture_has_a_bar_for_each_split(data: DataSet, tmp_path: Path) -> None:
    draw_balance(data, *count_boxes(data), tmp_path / "balance.png")
    pixels = cv2.imread(str(tmp_path / "balance.png")).astype(int)
    for colour in ((178, 114, 0), (0, 159, 230)):
        assert (abs(pixels - colour).max(axis=2) < 8).sum() > 1000


def test_the_command_draws_balance_and_sheets_and_prints_json(discs: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["show", str(discs), "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["pictures"] == {"train": 48, "val": 24}
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert written == ["balance.png", "sheet_train.jpg", "sheet_val.jpg"]
