"""Tidy tables: read again by the csv module, pyarrow and frictionless."""

import csv
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import frictionless
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError
from trap_server.exporting.rows import Places, Row
from trap_server.exporting.tables import Column, guarded, published, write_csv
from trap_server.exporting.tidy import TIDY, write_tidy_csv, write_tidy_parquet

from server.exports import METADATA, NASTY, NIGHTS, NOON_MS, make_night, make_place

PLACES = Places([make_place()])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@given(cells=st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_every_text_comes_back_from_csv_as_it_was_or_guarded(tmp_path_factory: pytest.TempPathFactory, cells):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv(path, [Column("a", "string", ""), Column("b", "string", "")], cells)
    assert [tuple(row.values()) for row in read_csv(path)] == [(guarded(a), guarded(b)) for a, b in cells]


@given(TEXT)
def test_no_text_begins_a_formula_and_only_formulas_are_changed(text: str):
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert guarded(text) in (text, f"'{text}")


def test_a_zero_is_a_zero_and_a_night_not_observed_is_empty(tmp_path: Path):
    write_tidy_csv(tmp_path, NIGHTS, PLACES, METADATA)
    found = [(row["night"], row["class"], row["sex"], row["count"]) for row in read_csv(tmp_path / "counts.csv")]
    nights = [str(row.night) for row in NIGHTS]
    assert found[:3] == [
        (nights[0], "Female", "female", "12"),
        (nights[0], "Male", "male", "0"),
        (nights[0], "Out of Focus", "unknown", "3"),
    ]
    assert found[6] == (nights[2], "", "", "")
    assert [row[3] for row in found[3:6]] == ["0", "0", "0"]


def test_every_number_says_what_it_is_with_effort_model_and_threshold(tmp_path: Path):
    write_tidy_csv(tmp_path, NIGHTS, PLACES, METADATA)
    rows = read_csv(tmp_path / "counts.csv")
    assert {row["statistic"] for row in rows[:7]} == {"sum"}
    assert {(row["statistic"], row["semantics"]) for row in rows[7:]} == {("peak", "occupancy")}
    assert (rows[0]["observed_s"], rows[0]["expected_s"], rows[0]["trap_problem"]) == ("80000.5", "86400.0", "false")
    assert (rows[0]["models"], rows[0]["thresholds"]) == ("pico@0123456789abcdef", "0.35")
    assert (rows[0]["begins_local"][-6:], rows[0]["timezone"]) == ("+03:00", "Africa/Nairobi")


def test_frictionless_finds_the_package_valid_and_reads_the_same_numbers(tmp_path: Path):
    write_tidy_csv(tmp_path, NIGHTS, PLACES, METADATA)
    package = frictionless.Package(str(tmp_path / "datapackage.json"))
    report = package.validate()
    assert report.valid, report.flatten(["message"])
    rows = package.get_resource("counts").read_rows()
    assert [row["count"] for row in rows] == [12, 0, 3, 0, 0, 0, None, 5, 2, 0]
    counting = json.loads((tmp_path / "datapackage.json").read_text())["counting"]
    assert counting["models"] == [{"model": "pico@0123456789abcdef", "accuracy": "mAP50 0.91 on 300 pictures"}]
    assert counting["thresholds"] == [0.35]


def test_parquet_has_the_same_table_typed_and_its_metadata_inside(tmp_path: Path):
    write_tidy_parquet(tmp_path, NIGHTS, PLACES, METADATA)
    file = pyarrow.parquet.ParquetFile(tmp_path / "counts.parquet")
    rows = file.read().to_pylist()
    assert [row["count"] for row in rows] == [12, 0, 3, 0, 0, 0, None, 5, 2, 0]
    assert rows[0]["begins"].timestamp() * 1000 == NOON_MS
    assert file.schema_arrow.names == [column.name for column in TIDY]
    assert json.loads(file.metadata.metadata[b"zancudo"])["title"] == METADATA.title


def test_parquet_without_its_library_names_the_extra(tmp_path: Path):
    with patch.dict(sys.modules, {"pyarrow": None}), pytest.raises(ConfigError, match=r"zancudo\[server,parquet\]"):
        write_tidy_parquet(tmp_path, NIGHTS, PLACES, METADATA)


def test_rows_are_written_as_they_come(tmp_path: Path):
    sizes: list[int] = []

    def nights() -> Iterator[Row]:
        for day in range(3000):
            yield make_night({"Female": day}, day=day)
            sizes.append((tmp_path / "counts.csv").stat().st_size)

    write_tidy_csv(tmp_path, nights(), PLACES, METADATA)
    assert sizes[1000] > 0
    assert sizes[2000] > sizes[1000]


def test_a_failed_export_leaves_nothing_and_a_good_one_a_folder_or_an_archive(tmp_path: Path):
    def write(out: Path, *, fail: bool = False) -> None:
        with published(out) as folder:
            (folder / "a.csv").write_text(NASTY)
            if fail:
                raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write(tmp_path / "a", fail=True)
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "b")
    write(tmp_path / "c.zip")
    assert (tmp_path / "b" / "a.csv").read_text() == NASTY
    assert zipfile.ZipFile(tmp_path / "c.zip").namelist() == ["a.csv"]
    with pytest.raises(ConfigError, match="is there already"):
        write(tmp_path / "b")
    with pytest.raises(ConfigError, match="there is no folder"):
        write(tmp_path / "none" / "b")
