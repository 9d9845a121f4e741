"""MIReAD, VecDyn and VectorSurv tables, read again by the csv module and frictionless."""

import csv
from pathlib import Path

import frictionless
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trap_server.exporting.rows import Places
from trap_server.exporting.tables import guarded
from trap_server.exporting.vectors import write_miread, write_vecdyn, write_vectorsurv

from server.exports import METADATA, NASTY, NIGHT, NIGHTS, make_night, make_place

PLACES = Places([make_place()])


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_miread_has_zeros_units_zones_and_a_metadata_sheet(tmp_path: Path):
    write_miread(tmp_path, NIGHTS, PLACES, METADATA)
    rows = read_csv(tmp_path / "samples.csv")
    assert [row["Value"] for row in rows] == ["12", "0", "3", "0", "0", "0", "", "5", "2", "0"]
    assert rows[0]["Start Time"] == f"{NIGHT}T15:00:00+03:00"
    assert (rows[0]["Latitude"], rows[0]["Location"]) == ("-1.29", guarded(NASTY))
    assert rows[0]["Unit(s) of measurement"].startswith("individuals caught")
    assert "not a catch" in rows[-1]["Unit(s) of measurement"]
    assert "80000 s observed of 86400 s due" in rows[0]["Additional sample information"]
    sheet = {row["Field"]: row["Content"] for row in read_csv(tmp_path / "metadata.csv")}
    assert "score thresholds: 0.35" in sheet["Species identification method"]
    assert "mAP50 0.91" in sheet["Species identification method"]
    assert sheet["Zeros"]


def test_vecdyn_quotes_every_cell_and_leaves_out_only_what_was_not_observed(tmp_path: Path):
    write_vecdyn(tmp_path, NIGHTS, PLACES, METADATA)
    rows = read_csv(tmp_path / "data.csv")
    assert [row["sample_value"] for row in rows] == ["12", "0", "3", "0", "0", "0", "5", "2", "0"]
    assert (rows[0]["sample_start_date"], rows[0]["sample_start_time"]) == (str(NIGHT), "15:00:00")
    assert rows[0]["additional_location_info"] == "times by Africa/Nairobi"
    assert (rows[0]["sample_sex"], rows[2]["sample_sex"]) == ("female", "unknown")
    (header, *_) = (tmp_path / "data.csv").read_text().splitlines()
    assert all(cell.startswith('"') and cell.endswith('"') for cell in header.split(","))
    (publication,) = read_csv(tmp_path / "publication.csv")
    assert publication["title"] == METADATA.title
    assert "pico@0123456789abcdef" in publication["description"]
    assert all(publication[name] for name in ("title", "description", "contact_name"))  # required by VecDyn


def test_vectorsurv_counts_effort_in_trap_nights_and_keeps_occupancy_out_of_the_count(tmp_path: Path):
    write_vectorsurv(tmp_path, NIGHTS, PLACES, METADATA)
    package = frictionless.Package(str(tmp_path / "datapackage.json"))
    report = package.validate()
    assert report.valid, report.flatten(["message"])
    rows = package.get_resource("collections").read_rows()
    assert [row["num_count"] for row in rows] == [12, 0, 3, 0, 0, 0, None, None, None, None]
    assert [row["num_at_once"] for row in rows][-3:] == [5, 2, 0]
    assert [float(row["trap_nights"]) for row in rows][::6] == [pytest.approx(0.9259), 0]
    assert (rows[0]["collection_date"] - NIGHT).days == 1
    assert [row["trap_problem_bit"] for row in rows][::6] == [False, True]
    assert (rows[0]["thresholds"], rows[0]["models"]) == ("0.35", "pico@0123456789abcdef")


@settings(max_examples=25, deadline=None)
@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_no_name_breaks_a_table_of_the_vector_community(tmp_path_factory: pytest.TempPathFactory, name: str):
    folder = tmp_path_factory.mktemp("vectors")
    places = Places([make_place(name=name, bait=name, trap_type=name)])
    for write in (write_miread, write_vecdyn, write_vectorsurv):
        write(folder, [make_night({name: 0})], places, METADATA)
    (sample,), (line,), (collection,) = (
        read_csv(folder / f"{table}.csv") for table in ("samples", "data", "collections")
    )
    assert sample["Location"] == line["location_description"] == collection["site_name"] == guarded(name)
    assert (sample["Value"], line["sample_value"], collection["num_count"]) == ("0", "0", "0")
    assert collection["model_class"] == guarded(name)
