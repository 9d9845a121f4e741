"""Tidy tables, one line a class and period, as CSV or Parquet, with a Frictionless Data Package beside them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from trap_server.exporting.metadata import ExportMetadata, Seen
from trap_server.exporting.rows import MEANINGS, Places, Row, counted, iso, local, sex_of, utc
from trap_server.exporting.tables import GUARD, Cell, Column, schema, write_csv, write_parquet
from trap_server.nights import Deployment

TIDY = (
    Column("tenant", "string", "organisation", required=True),
    Column("trap", "string", "trap, a device", required=True),
    Column("site", "string", "site, a place"),
    Column("latitude", "number", "decimal degrees, WGS84"),
    Column("longitude", "number", "decimal degrees, WGS84"),
    Column("timezone", "string", "time zone of the site, IANA name"),
    Column("night", "date", "local date of the trap-night's evening; empty for windows and hours"),
    Column("boundary", "string", "the night goes from noon to noon: solar, by the clock of the site, or utc"),
    Column("begins", "datetime", "start of the period, UTC", required=True),
    Column("ends", "datetime", "end of the period, UTC", required=True),
    Column("begins_local", "string", "start of the period by the site's clock, with its offset from UTC"),
    Column("class", "string", "class of the model; empty when nothing was observed"),
    Column("sex", "string", "female, male, or unknown"),
    Column("count", "integer", "0 was looked for and not found; empty was not observed. What it is: `statistic`"),
    Column("statistic", "string", "; ".join(f"{name}: {text}" for name, text in MEANINGS.items()), required=True),
    Column("semantics", "string", "what the trap counts: arrivals, catch_delta, occupancy", required=True),
    Column("observed_s", "number", "effort: seconds in which the board was really looked at", required=True),
    Column("expected_s", "number", "seconds that were due"),
    Column("lost_s", "number", "seconds whose counts were made and are lost for good"),
    Column("coverage", "number", "observed of expected, 0 to 1"),
    Column("trap_problem", "boolean", "coverage was too low to compare this period with others"),
    Column("clock_repaired", "boolean", "the trap's clock was not right, and the times were repaired or are doubtful"),
    Column("windows", "integer", "counting windows that this line sums up", required=True),
    Column("models", "string", "models that counted: id@start of SHA-256, joined by |"),
    Column("thresholds", "string", "score thresholds of the models, joined by |"),
)
PLACES = (
    Column("tenant", "string", "organisation", required=True),
    Column("trap", "string", "trap, a device", required=True),
    Column("site", "string", "site, a place", required=True),
    Column("name", "string", "the site's name"),
    Column("latitude", "number", "decimal degrees, WGS84"),
    Column("longitude", "number", "decimal degrees, WGS84"),
    Column("timezone", "string", "IANA name"),
    Column("bait", "string", "attractant"),
    Column("trap_type", "string", "kind of trap"),
    Column("begins", "datetime", "UTC", required=True),
    Column("ends", "datetime", "UTC; empty while it lasts"),
)


def write_tidy_csv(folder: Path, rows: Iterable[Row], places: Places, metadata: ExportMetadata) -> Seen:
    """`counts.csv`, `deployments.csv` and `datapackage.json`."""
    seen = Seen()
    write_csv(folder / "counts.csv", TIDY, _records(rows, places, seen))
    write_csv(folder / "deployments.csv", PLACES, map(_place, places.deployments))
    resources: list[dict[str, object]] = [
        {"name": "counts", "path": "counts.csv", "profile": "tabular-data-resource", "schema": schema(TIDY)},
        {"name": "deployments", "path": "deployments.csv", "profile": "tabular-data-resource",
         "schema": schema(PLACES)},
    ]  # fmt: skip
    write_package(folder, package(metadata, seen, resources))
    return seen


def write_tidy_parquet(folder: Path, rows: Iterable[Row], places: Places, metadata: ExportMetadata) -> Seen:
    """`counts.parquet`, which has the metadata inside too, `deployments.csv` and `datapackage.json`."""
    seen = Seen()
    path = folder / "counts.parquet"
    write_parquet(
        path, TIDY, _records(rows, places, seen), lambda: json.dumps(package(metadata, seen, []), ensure_ascii=False)
    )
    write_csv(folder / "deployments.csv", PLACES, map(_place, places.deployments))
    resources: list[dict[str, object]] = [
        {"name": "counts", "path": path.name, "format": "parquet", "schema": schema(TIDY)},
        {"name": "deployments", "path": "deployments.csv", "profile": "tabular-data-resource",
         "schema": schema(PLACES)},
    ]  # fmt: skip
    write_package(folder, package(metadata, seen, resources))
    return seen


def package(metadata: ExportMetadata, seen: Seen, resources: list[dict[str, object]]) -> dict[str, object]:
    """The Data Package descriptor (specs.frictionlessdata.io/data-package)."""
    return {
        "profile": "data-package",
        "name": "zancudo-counts",
        "title": metadata.title,
        "description": f"{seen.sentence(metadata)} {GUARD}",
        "created": iso(utc(metadata.created_at_ms)),
        **({"licenses": [{"name": metadata.licence}]} if metadata.licence else {}),
        "contributors": [{"title": metadata.publisher, "role": "publisher"}],
        "taxon": {"scientificName": metadata.taxon, "taxonRank": metadata.taxon_rank},
        "counting": seen.counting(metadata),
        "resources": resources,
    }


def write_package(folder: Path, descriptor: dict[str, object]) -> None:
    """`datapackage.json`."""
    text = json.dumps(descriptor, indent=2, ensure_ascii=False)
    (folder / "datapackage.json").write_text(text + "\n", encoding="utf-8")


def _records(rows: Iterable[Row], places: Places, seen: Seen) -> Iterator[list[Cell]]:
    for row in rows:
        seen.add(row)
        place = places.of(row)
        for name, count in counted(row):
            yield [*_where_and_when(row, place), name or None, sex_of(name) if name else None, count, *_how(row)]


def _where_and_when(row: Row, place: Deployment | None) -> list[Cell]:
    where: list[Cell] = [None] * 3 if place is None else [place.latitude, place.longitude, place.timezone or None]
    site = row.site or (place.site if place else None)
    begins_local = iso(local(row.begins_ms, place)) if place and place.timezone else None
    when: list[Cell] = [row.night, row.boundary, utc(row.begins_ms), utc(row.ends_ms), begins_local]
    return [row.tenant, row.trap, site, *where, *when]


def _how(row: Row) -> list[Cell]:
    effort: list[Cell] = [row.observed_s, row.expected_s, row.lost_s, row.coverage, row.problem, row.clock_repaired]
    return [row.statistic, row.semantics, *effort, row.windows, row.models_text or None, row.thresholds_text or None]


def _place(one: Deployment) -> list[Cell]:
    ends = None if one.ends_ms is None else utc(one.ends_ms)
    where: list[Cell] = [one.latitude, one.longitude, one.timezone or None, one.bait or None, one.trap_type or None]
    return [one.tenant, one.trap, one.site, one.name, *where, utc(one.begins_ms), ends]
