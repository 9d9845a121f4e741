"""`trap-server export`, as its operator meets it."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from dwca.read import DwCAReader
from trap_server.commands import main

from server.exports import caught, keep

Command = Callable[..., tuple[object, str, str]]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is read is the same in both databases: see test_exporting_reading.py."""
    return sqlite_url


@pytest.fixture
def trap_server(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database_url: str) -> Command:
    def call(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["trap-server", *arguments])
        monkeypatch.setenv("TRAP_SERVER_DATABASE", database_url)
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capfd.readouterr())

    return call


@pytest.mark.parametrize("form", ["csv", "parquet", "dwca", "miread", "vecdyn", "vectorsurv"])
def test_export_writes_every_format_and_says_what_it_wrote(
    trap_server: Command, engine: sa.Engine, tmp_path: Path, form: str
):
    keep(engine, caught(1, 1, 2), caught(2, 30, 0))
    status, out, err = trap_server("export", "--format", form, "--out", str(tmp_path / "out"), "--json")
    assert status == 0, err
    told = json.loads(out)
    assert (told["format"], told["rows"], told["models"]) == (form, 2, ["yolov8n_kd@" + "ab" * 8])
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == ["out"]


def test_export_of_an_archive_is_read_by_another_reader(trap_server: Command, engine: sa.Engine, tmp_path: Path):
    keep(engine, caught(1, 1, 2))
    status, _, err = trap_server("export", "--format", "dwca", "--out", str(tmp_path / "a.zip"), "--taxon", "Aedes")
    assert status == 0, err
    with DwCAReader(str(tmp_path / "a.zip")) as archive:
        (event,) = list(archive)
        assert "Aedes" in {one.data.get("http://rs.tdwg.org/dwc/terms/scientificName") for one in event.extensions}


def test_export_of_windows_has_one_line_a_class_and_window(trap_server: Command, engine: sa.Engine, tmp_path: Path):
    keep(engine, caught(1, 1, 2), caught(2, 2, None))
    status, out, err = trap_server("export", "--by", "window", "--out", str(tmp_path / "out"))
    assert status == 0, err
    assert "2 rows as csv" in out
    with (tmp_path / "out" / "counts.csv").open(newline="") as file:
        assert [row["count"] for row in csv.DictReader(file)] == ["2", "1", "0", "2", "0", ""]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--format", "dwca", "--by", "hour"], "format of trap-nights"),
        (["--format", "camtrap"], "demo/t1 has no deployment with a position"),
        (["--model", "none.tflite"], "none.tflite"),
    ],
)
def test_an_export_that_can_not_be_ends_with_one_line_and_leaves_nothing(
    trap_server: Command, engine: sa.Engine, tmp_path: Path, arguments: list[str], says: str
):
    keep(engine, caught(1, 1, 2))
    status, _, err = trap_server("export", *arguments, "--out", str(tmp_path / "out"))
    assert status == 1
    assert says in err.strip().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
