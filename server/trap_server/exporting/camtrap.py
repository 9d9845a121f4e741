"""Camtrap DP 1.0: trap-nights as event-based observations (camtrap-dp.tdwg.org).

The standard has no count of 0, and says that event-based counts can be summed. So a night of zeros is one `blank`
observation, every count with its zeros stands in `observationTags`, and what is not a catch leaves `count` empty.
There are no pictures: `media.csv` has its header only, as event-based observations need no media.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trap_contract.errors import DataError

from trap_server.exporting.metadata import ExportMetadata, Seen
from trap_server.exporting.rows import MEANINGS, Places, Row, iso, local, sex_of, utc
from trap_server.exporting.tables import GUARD, Cell, Column, csv_table, write_csv
from trap_server.exporting.tidy import write_package
from trap_server.nights import Deployment

STANDARD = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0"
DEPLOYMENTS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty", "deploymentStart",
    "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay", "cameraHeight", "cameraDepth", "cameraTilt",
    "cameraHeading", "detectionDistance", "timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups",
    "deploymentTags", "deploymentComments",
)  # fmt: skip
MEDIA = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype",
    "exifData", "favorite", "mediaComments",
)  # fmt: skip
OBSERVATIONS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel",
    "observationType", "cameraSetupType", "scientificName", "count", "lifeStage", "sex", "behavior", "individualID",
    "individualPositionRadius", "individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth",
    "bboxHeight", "classificationMethod", "classifiedBy", "classificationTimestamp", "classificationProbability",
    "observationTags", "observationComments",
)  # fmt: skip


@dataclass(slots=True)
class _Used:
    """What the observations said of one deployment."""

    place: Deployment
    ends_ms: int = 0
    doubtful: bool = False
    unobserved: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.ends_ms = max(self.ends_ms, row.ends_ms)
        self.doubtful = self.doubtful or row.clock_repaired
        if row.counts is None:
            self.unobserved.append(str(row.night))


def write_camtrap(folder: Path, rows: Iterable[Row], places: Places, metadata: ExportMetadata) -> Seen:
    """`deployments.csv`, `media.csv`, `observations.csv` and `datapackage.json`, from trap-nights.

    Raises DataError for a trap without a deployment that has a position: the standard requires one.
    """
    seen, used = Seen(), dict[str, _Used]()
    with csv_table(folder / "observations.csv", _texts(OBSERVATIONS)) as write:
        for row in rows:
            seen.add(row)
            place = _placed(row, places)
            used.setdefault(_id(place), _Used(place)).add(row)
            for observation in _observations(row, place, metadata):
                write([observation.get(name) for name in OBSERVATIONS])
    write_csv(folder / "media.csv", _texts(MEDIA), [])
    deployments = ([_deployment(one).get(name) for name in DEPLOYMENTS] for one in used.values())
    write_csv(folder / "deployments.csv", _texts(DEPLOYMENTS), deployments)
    write_package(folder, _package(metadata, seen, list(used.values())))
    return seen


def _texts(names: Iterable[str]) -> list[Column]:
    return [Column(name, "string", "") for name in names]


def _placed(row: Row, places: Places) -> Deployment:
    place = places.of(row)
    if place is None or place.latitude is None or place.longitude is None:
        raise DataError(
            f"trap {row.tenant}/{row.trap} has no deployment with a position for {row.night}: Camtrap DP requires "
            "latitude and longitude; enter the deployment, or leave the trap out"
        )
    return place


def _id(place: Deployment) -> str:
    return f"{place.tenant}:{place.trap}:{place.begins_ms}"


def _time(moment_ms: int, place: Deployment) -> str:
    """To the second, with the offset of the place, as the standard writes it."""
    return iso(local(moment_ms, place).replace(microsecond=0))


def _observations(row: Row, place: Deployment, metadata: ExportMetadata) -> Iterator[dict[str, Cell]]:
    """One for each class that was counted, one `blank` for a night of zeros, none for a night not observed."""
    if row.counts is None:
        return
    event = _event(row, place)
    present = {name: count for name, count in row.counts.items() if count}
    if not present:
        yield event | {"observationID": f"{row.key}:blank", "observationType": "blank"}
    for name, count in present.items():
        sex = sex_of(name)
        yield event | {
            "observationID": f"{row.key}:{name}",
            "observationType": "animal",
            "scientificName": metadata.taxon,
            "count": count if row.is_catch else None,
            "lifeStage": "adult",
            "sex": None if sex == "unknown" else sex,
        }


def _event(row: Row, place: Deployment) -> dict[str, Cell]:
    counts = [f"{name}:{count}" for name, count in (row.counts or {}).items()]
    made = f"score threshold {row.thresholds_text or 'not known'}"
    return {
        "deploymentID": _id(place),
        "eventID": row.key,
        "eventStart": _time(row.begins_ms, place),
        "eventEnd": _time(row.ends_ms, place),
        "observationLevel": "event",
        "classificationMethod": "machine",
        "classifiedBy": row.models_text,
        "observationTags": " | ".join([f"statistic:{row.statistic}", *counts]),
        "observationComments": f"{MEANINGS[row.statistic]}; {row.effort}; {made}",
    }


def _deployment(used: _Used) -> dict[str, Cell]:
    place = used.place
    missing = f"nights without any observation, which are not zeros: {', '.join(used.unobserved)}"
    comments = [f"bait: {place.bait}"] if place.bait else []
    return {
        "deploymentID": _id(place),
        "locationID": place.site,
        "locationName": place.name,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "deploymentStart": _time(place.begins_ms, place),
        "deploymentEnd": _time(used.ends_ms if place.ends_ms is None else place.ends_ms, place),
        "cameraID": f"{place.tenant}/{place.trap}",
        "timestampIssues": used.doubtful,
        "baitUse": bool(place.bait),
        "deploymentTags": f"trap type:{place.trap_type}" if place.trap_type else None,
        "deploymentComments": "; ".join(comments + ([missing] if used.unobserved else [])) or None,
    }


def _package(metadata: ExportMetadata, seen: Seen, used: list[_Used]) -> dict[str, object]:
    tables = ("deployments", "media", "observations")
    return {
        "profile": f"{STANDARD}/camtrap-dp-profile.json",
        "name": "zancudo-camtrap-dp",
        "created": iso(utc(metadata.created_at_ms)),
        "title": metadata.title,
        "description": f"{seen.sentence(metadata)} {GUARD}",
        **_responsible(metadata),
        "project": {
            "title": metadata.title,
            "samplingDesign": "targeted",
            "captureMethod": ["timeLapse"],
            "individualAnimals": False,
            "observationLevel": ["event"],
        },
        "spatial": {
            "type": "MultiPoint",
            "coordinates": sorted({(one.place.longitude or 0.0, one.place.latitude or 0.0) for one in used}),
        },
        "temporal": {"start": _day(seen.begins_ms, metadata), "end": _day(seen.ends_ms, metadata)},
        "taxonomic": [{"scientificName": metadata.taxon, "taxonRank": metadata.taxon_rank}],
        "counting": seen.counting(metadata),
        "resources": [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": f"{STANDARD}/{name}-table-schema.json",
            }
            for name in tables
        ],
    }


def _responsible(metadata: ExportMetadata) -> dict[str, object]:
    contact = {"email": metadata.contact} if metadata.contact else {}
    told: dict[str, object] = {"contributors": [{"title": metadata.publisher, "role": "publisher", **contact}]}
    if metadata.licence:
        told["licenses"] = [{"name": metadata.licence, "scope": scope} for scope in ("data", "media")]
    return told


def _day(moment_ms: int | None, metadata: ExportMetadata) -> str:
    return utc(metadata.created_at_ms if moment_ms is None else moment_ms).date().isoformat()
