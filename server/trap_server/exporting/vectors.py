"""Tables of the vector community: MIReAD, VecDyn, and trap-nights as VectorSurv has them.

MIReAD: Rund et al. 2019, doi:10.1038/s41597-019-0042-5, Online-only Tables 1 and 2. VecDyn: field definitions of the
VectorByte platform (vectorbitedataplatform.readthedocs.io). VectorSurv: the collection fields of vectorsurvR.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from trap_server.exporting.metadata import ExportMetadata, Seen
from trap_server.exporting.rows import MEANINGS, Places, Row, counted, iso, local, sex_of, utc
from trap_server.exporting.tables import GUARD, Cell, Column, schema, write_csv
from trap_server.exporting.tidy import package, write_package
from trap_server.nights import Deployment

NIGHT_S = 24 * 3600
MIREAD = tuple(
    Column(name, "string", meaning)
    for name, meaning in (
        ("sampleID", "trap, night and way of counting"),
        ("Start Time", "ISO 8601 with the offset from UTC"),
        ("End Time", "ISO 8601 with the offset from UTC"),
        ("Latitude", "decimal degrees, WGS84"),
        ("Longitude", "decimal degrees, WGS84"),
        ("Location", "name of the site"),
        ("Collection method", "trap type"),
        ("Collection attractants", "bait; none when there was none"),
        ("Collection area", "one trap"),
        ("Taxonomy", "taxon, at the level that the model supports"),
        ("Unit(s) of measurement", "what the value is"),
        ("Value", "0 was looked for and not found; empty was not observed"),
        ("Sex", "female, male, or unknown"),
        ("Stage", "life stage"),
        ("Additional sample information", "class of the model, effort, models and thresholds"),
    )
)
SHEET = (Column("Field", "string", "MIReAD metadata field"), Column("Content", "string", ""))
PUBLICATION = tuple(
    Column(name, "string", "")
    for name in (
        "title", "collection_author", "dataset_citation", "publication_citation", "description", "url", "contact_name",
        "contact_affiliation", "email", "orcid", "dataset_license", "project_identifier", "publication_status",
    )
)  # fmt: skip
VECDYN = tuple(
    Column(name, "string", "")
    for name in (
        "taxon", "location_description", "study_collection_area", "geo_datum", "gps_obfuscation_info",
        "species_id_method", "study_design", "sampling_strategy", "sampling_method", "sampling_protocol",
        "measurement_unit", "value_transform", "sample_start_date", "sample_start_time", "sample_end_date",
        "sample_end_time", "sample_value", "sample_sex", "sample_stage", "sample_location", "sample_collection_area",
        "sample_lat_dd", "sample_long_dd", "sample_environment", "additional_location_info", "additional_sample_info",
        "sample_name",
    )
)  # fmt: skip
VECTORSURV = (
    Column("collection_date", "date", "date on which the night ended: the pick-up", required=True),
    Column("surv_year", "integer", "year of collection_date", required=True),
    Column("trap_nights", "number", "observed seconds of 24 hours: effort", required=True),
    Column("num_trap", "integer", "traps in this line", required=True),
    Column("trap_problem_bit", "boolean", "coverage was too low to compare this night with others", required=True),
    Column("trap_acronym", "string", "trap type, as configured"),
    Column("site_name", "string", "name of the site"),
    Column("trap", "string", "tenant/trap", required=True),
    Column("latitude", "number", "decimal degrees, WGS84"),
    Column("longitude", "number", "decimal degrees, WGS84"),
    Column("species_display_name", "string", "taxon, at the level that the model supports", required=True),
    Column("sex_type", "string", "female, male, or unknown"),
    Column("model_class", "string", "class of the model; empty when nothing was observed"),
    Column("num_count", "integer", "caught; 0 was looked for; empty was not observed, or is not a catch"),
    Column("num_at_once", "integer", "in the picture at once, where the trap counts that; not a catch"),
    Column("count_statistic", "string", "what the number is", required=True),
    Column("observed_s", "number", "seconds in which the board was really looked at", required=True),
    Column("models", "string", "models that counted"),
    Column("thresholds", "string", "score thresholds of the models"),
)


def write_miread(folder: Path, rows: Iterable[Row], places: Places, metadata: ExportMetadata) -> Seen:
    """`samples.csv` and `metadata.csv`, from trap-nights."""
    seen = Seen()
    write_csv(folder / "samples.csv", MIREAD, _each(rows, places, metadata, seen, _sample))
    sheet: list[tuple[str, str]] = [
        ("Title", metadata.title),
        ("Publisher", metadata.publisher),
        ("Contact", metadata.contact),
        ("Licence", metadata.licence),
        ("Created", iso(utc(metadata.created_at_ms))),
        ("Study species", metadata.taxon),
        ("Species identification method", seen.sentence(metadata)),
        ("Zeros", "A value of 0 was looked for and not found; an empty value was not observed."),
        ("Location obfuscation", "none"),
        ("Spreadsheets", GUARD),
    ]
    write_csv(folder / "metadata.csv", SHEET, sheet)
    return seen


def write_vecdyn(folder: Path, rows: Iterable[Row], places: Places, metadata: ExportMetadata) -> Seen:
    """`data.csv` and `publication.csv`, every cell quoted, from trap-nights; nights without a count are left out."""
    seen = Seen()
    observed = (row for row in rows if row.counts is not None)
    write_csv(folder / "data.csv", VECDYN, _each(observed, places, metadata, seen, _vecdyn), quote_all=True)
    told: dict[str, Cell] = {
        "title": metadata.title,
        "collection_author": metadata.publisher,
        "description": f"{seen.sentence(metadata)} Nights without any observation are left out. {GUARD}",
        "contact_name": metadata.contact or metadata.publisher,
        "contact_affiliation": metadata.publisher,
        "dataset_license": metadata.licence,
        "publication_status": "not published",
    }
    write_csv(folder / "publication.csv", PUBLICATION, [[told.get(c.name) for c in PUBLICATION]], quote_all=True)
    return seen


def write_vectorsurv(folder: Path, rows: Iterable[Row], places: Places, metadata: ExportMetadata) -> Seen:
    """`collections.csv` and `datapackage.json`, from trap-nights."""
    seen = Seen()
    write_csv(folder / "collections.csv", VECTORSURV, _each(rows, places, metadata, seen, _collection))
    resource: dict[str, object] = {
        "name": "collections",
        "path": "collections.csv",
        "profile": "tabular-data-resource",
        "schema": schema(VECTORSURV),
    }
    write_package(folder, package(metadata, seen, [resource]))
    return seen


class _Line(Protocol):
    """Makes one line of a table from one class of one trap-night."""

    def __call__(
        self, row: Row, place: Deployment | None, metadata: ExportMetadata, name: str, count: int | None, /
    ) -> list[Cell]: ...


def _each(
    rows: Iterable[Row], places: Places, metadata: ExportMetadata, seen: Seen, line: _Line
) -> Iterator[list[Cell]]:
    for row in rows:
        seen.add(row)
        place = places.of(row)
        for name, count in counted(row):
            yield line(row, place, metadata, name, count)


def _sample(
    row: Row, place: Deployment | None, metadata: ExportMetadata, name: str, count: int | None, /
) -> list[Cell]:
    times: list[Cell] = [iso(local(moment, place)) for moment in (row.begins_ms, row.ends_ms)]
    trap: list[Cell] = [_trap_type(place), (place.bait if place else "") or "none", "one trap"]
    value: list[Cell] = [metadata.taxon, MEANINGS[row.statistic], count, sex_of(name) if name else None, "adult"]
    return [row.key, *times, *_position(place), _site(row, place), *trap, *value, _additional(row, name)]


def _vecdyn(
    row: Row, place: Deployment | None, metadata: ExportMetadata, name: str, count: int | None, /
) -> list[Cell]:
    begins, ends = local(row.begins_ms, place), local(row.ends_ms, place)
    zone = (place.timezone if place else "") or "UTC"
    bait = f"bait: {place.bait}" if place and place.bait else "no bait"
    told: dict[str, Cell] = {
        "taxon": metadata.taxon,
        "location_description": _site(row, place),
        "geo_datum": "WGS84",
        "gps_obfuscation_info": "none",
        "species_id_method": f"machine, from pictures: {row.models_text}",
        "sampling_method": _trap_type(place),
        "sampling_protocol": bait,
        "measurement_unit": MEANINGS[row.statistic],
        "sample_start_date": begins.date(),
        "sample_start_time": begins.strftime("%H:%M:%S"),
        "sample_end_date": ends.date(),
        "sample_end_time": ends.strftime("%H:%M:%S"),
        "sample_value": count,
        "sample_sex": sex_of(name),
        "sample_stage": "adult",
        "sample_location": f"{row.tenant}/{row.trap}",
        "sample_lat_dd": place.latitude if place else None,
        "sample_long_dd": place.longitude if place else None,
        "additional_location_info": f"times by {zone}",
        "additional_sample_info": _additional(row, name),
        "sample_name": row.key,
    }
    return [told.get(column.name) for column in VECDYN]


def _collection(
    row: Row, place: Deployment | None, metadata: ExportMetadata, name: str, count: int | None, /
) -> list[Cell]:
    picked_up = local(row.ends_ms, place).date()
    effort: list[Cell] = [round(row.observed_s / NIGHT_S, 4), 1, row.counts is None or bool(row.problem)]
    where: list[Cell] = [_trap_type(place), _site(row, place), f"{row.tenant}/{row.trap}", *_position(place)]
    what: list[Cell] = [metadata.taxon, sex_of(name) if name else None, name or None]
    numbers: list[Cell] = [count if row.is_catch else None, None if row.is_catch else count]
    how: list[Cell] = [row.models_text, row.thresholds_text]
    statistic = MEANINGS[row.statistic]
    return [picked_up, picked_up.year, *effort, *where, *what, *numbers, statistic, row.observed_s, *how]


def _trap_type(place: Deployment | None) -> str:
    return (place.trap_type if place else "") or "camera trap"


def _site(row: Row, place: Deployment | None) -> str | None:
    return (place.name if place else "") or row.site or None


def _position(place: Deployment | None) -> list[Cell]:
    return [None, None] if place is None else [place.latitude, place.longitude]


def _additional(row: Row, name: str) -> str:
    told = [f"class of the model: {name}"] if name else ["not observed"]
    told += [row.effort, f"models: {row.models_text}", f"score threshold: {row.thresholds_text or 'not known'}"]
    if row.problem:
        told.append("trap problem: coverage too low to compare")
    if row.clock_repaired:
        told.append("clock repaired or doubtful")
    return "; ".join(told)
