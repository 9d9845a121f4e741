"""Darwin Core and Camtrap DP: read again by python-dwca-reader and frictionless."""

import json
from pathlib import Path
from typing import Any

import frictionless
import pytest
from dwca.darwincore.terms import TERMS
from dwca.darwincore.utils import qualname
from dwca.read import DwCAReader
from hypothesis import given, settings
from hypothesis import strategies as st
from trap_contract.errors import DataError
from trap_server.exporting import camtrap
from trap_server.exporting.camtrap import write_camtrap
from trap_server.exporting.darwin_core import ECO, HUMBOLDT, write_darwin_core
from trap_server.exporting.rows import Places, Row
from trap_server.exporting.tables import published
from trap_server.nights import Deployment

from server.exports import METADATA, NIGHT, NIGHTS, make_night, make_place

PLACES = Places([make_place()])
NEWER_TERMS = {f"http://rs.tdwg.org/dwc/terms/{name}" for name in ("organismQuantity", "organismQuantityType")}
ECO_TERMS = {  # of the ratified Humboldt extension, those used here: eco.tdwg.org/list
    "targetTaxonomicScope", "targetLifeStageScope", "isTaxonomicScopeFullyReported", "isAbsenceReported",
    "isAbundanceReported", "isLeastSpecificTargetCategoryQuantityInclusive", "inventoryTypes", "protocolNames",
    "samplingPerformedBy", "isSamplingEffortReported", "samplingEffortProtocol", "samplingEffortValue",
    "samplingEffortUnit", "eventDurationValue", "eventDurationUnit",
}  # fmt: skip


def darwin_core(tmp_path: Path, rows: list[Row], places: Places = PLACES) -> DwCAReader:
    out = tmp_path / "archive.zip"
    with published(out) as folder:
        write_darwin_core(folder, rows, places, METADATA)
    return DwCAReader(str(out))


def data(row: Any) -> dict[str, str]:
    return {term.rsplit("/", 1)[-1]: value for term, value in row.data.items()}


def test_a_reader_of_darwin_core_finds_events_occurrences_and_effort(tmp_path: Path):
    with darwin_core(tmp_path, NIGHTS) as archive:
        assert archive.descriptor.core.type == qualname("Event")
        events = list(archive)
        assert len(events) == len(NIGHTS)
        kinds = [{one.rowtype for one in event.extensions} for event in events]
        assert kinds[0] == {qualname("Occurrence"), "http://rs.tdwg.org/eco/terms/Event"}
        assert kinds[2] == {"http://rs.tdwg.org/eco/terms/Event"}
        event = data(events[0])
    assert event["eventDate"] == f"{NIGHT}T15:00:00+03:00/{NIGHT.replace(day=NIGHT.day + 1)}T15:00:00+03:00"
    assert (event["sampleSizeValue"], event["sampleSizeUnit"]) == ("80000.5", "second")
    assert (event["decimalLatitude"], event["geodeticDatum"]) == ("-1.29", "EPSG:4326")


def test_absences_are_explicit_and_only_catches_are_individual_counts(tmp_path: Path):
    with darwin_core(tmp_path, NIGHTS) as archive:
        events = [[data(one) for one in event.extensions] for event in archive]
    occurrences = [[one for one in event if "occurrenceID" in one] for event in events]
    found = [(one["sex"], one["occurrenceStatus"], one["individualCount"]) for one in occurrences[0]]
    assert found == [("female", "present", "12"), ("male", "absent", "0"), ("unknown", "present", "3")]
    assert [one["occurrenceStatus"] for one in occurrences[1]] == ["absent"] * 3
    peak = occurrences[3][0]
    assert (peak["individualCount"], peak["organismQuantity"]) == ("", "5")
    assert "not a catch" in peak["organismQuantityType"]
    inventories = [one for event in events for one in event if "isAbsenceReported" in one]
    assert [one["isAbsenceReported"] for one in inventories] == ["true", "true", "false", "true"]
    assert (inventories[0]["samplingEffortValue"], inventories[0]["samplingEffortUnit"]) == ("80000.5", "trap seconds")
    assert occurrences[0][0]["identifiedBy"] == "pico@0123456789abcdef"
    assert "score threshold 0.35" in occurrences[0][0]["identificationRemarks"]


def test_every_term_is_one_of_darwin_core_or_humboldt(tmp_path: Path):
    with darwin_core(tmp_path, NIGHTS) as archive:
        tables = [archive.descriptor.core, *archive.descriptor.extensions]
        terms = {term for table in tables for term in table.terms}
        assert archive.metadata is not None
        assert archive.metadata.findtext("dataset/intellectualRights/para") == "CC-BY-4.0"
        assert "mAP50 0.91" in (archive.metadata.findtext("dataset/abstract/para") or "")
    assert set(HUMBOLDT) == ECO_TERMS
    assert terms <= {*TERMS, *NEWER_TERMS, *(f"{ECO}{name}" for name in ECO_TERMS)}


@settings(max_examples=25, deadline=None)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), site=st.text(max_size=20))
def test_no_name_breaks_a_darwin_core_archive(tmp_path_factory: pytest.TempPathFactory, name: str, site: str):
    night = make_night({name: 1, "Male": 0})
    places = Places([make_place(name=name, bait=site, trap_type=name)])
    with darwin_core(tmp_path_factory.mktemp("dwca"), [night], places) as archive:
        (event,) = list(archive)
        assert len([one for one in event.extensions if one.rowtype == qualname("Occurrence")]) == len(
            night.counts or {}
        )
        assert data(event)["decimalLongitude"] == "36.82"


# --- Camtrap DP ---------------------------------------------------------------------------------------------------

TIME = {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z"}
FLAG = {"type": "boolean"}


def number(least: float | None = None, most: float | None = None, kind: str = "number") -> dict[str, Any]:
    limits = {"minimum": least, "maximum": most}
    return {"type": kind, "constraints": {name: value for name, value in limits.items() if value is not None}}


def choice(*values: str) -> dict[str, Any]:
    return {"type": "string", "constraints": {"enum": list(values)}}


# Types, limits and required fields of Camtrap DP 1.0, as its documentation states them (camtrap-dp.tdwg.org/data).
# The official schemas are at STANDARD and need a network; what is not named here is a string without a limit.
FACTS: dict[str, dict[str, dict[str, Any]]] = {
    "deployments": {
        "latitude": number(-90, 90), "longitude": number(-180, 180), "deploymentStart": TIME, "deploymentEnd": TIME,
        "coordinateUncertainty": number(1, kind="integer"), "cameraDelay": number(0, kind="integer"),
        "cameraHeight": number(0), "cameraDepth": number(0), "cameraTilt": number(-90, 90, "integer"),
        "cameraHeading": number(0, 360, "integer"), "detectionDistance": number(0), "timestampIssues": FLAG,
        "baitUse": FLAG,
        "featureType": choice("roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass",
                              "roadBridge", "culvert", "burrow", "nestSite", "carcass", "waterSource", "fruitingTree"),
    },
    "media": {
        "captureMethod": choice("activityDetection", "timeLapse"), "timestamp": TIME, "filePublic": FLAG,
        "favorite": FLAG,
    },
    "observations": {
        "eventStart": TIME, "eventEnd": TIME, "observationLevel": choice("media", "event"),
        "observationType": choice("animal", "human", "vehicle", "blank", "unknown", "unclassified"),
        "cameraSetupType": choice("setup", "calibration"), "count": number(1, kind="integer"),
        "lifeStage": choice("adult", "subadult", "juvenile"), "sex": choice("female", "male"),
        "individualPositionRadius": number(0), "individualPositionAngle": number(-90, 90), "individualSpeed": number(0),
        "bboxX": number(0, 1), "bboxY": number(0, 1), "bboxWidth": number(1e-15, 1), "bboxHeight": number(1e-15, 1),
        "classificationMethod": choice("human", "machine"), "classificationTimestamp": TIME,
        "classificationProbability": number(0, 1),
    },
}  # fmt: skip
REQUIRED = {
    "deployments": ["deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd"],
    "media": ["mediaID", "deploymentID", "timestamp", "filePath", "filePublic", "fileMediatype"],
    "observations": ["observationID", "deploymentID", "eventStart", "eventEnd", "observationLevel", "observationType"],
}
COLUMNS = {"deployments": camtrap.DEPLOYMENTS, "media": camtrap.MEDIA, "observations": camtrap.OBSERVATIONS}
DEPLOYED = {"fields": "deploymentID", "reference": {"resource": "deployments", "fields": "deploymentID"}}


def table_schema(table: str) -> dict[str, Any]:
    fields = [{"name": name, "type": "string"} | FACTS[table].get(name, {}) for name in COLUMNS[table]]
    for one in fields:
        if one["name"] in REQUIRED[table]:
            one["constraints"] = one.get("constraints", {}) | {"required": True}
    key = {"deployments": "deploymentID", "media": "mediaID", "observations": "observationID"}[table]
    foreign = [] if table == "deployments" else [DEPLOYED]
    return {"fields": fields, "primaryKey": [key], "foreignKeys": foreign}


def camtrap_package(folder: Path, rows: list[Row], deployments: list[Deployment]) -> frictionless.Package:
    """The export with the schemas that its addresses stand for."""
    write_camtrap(folder, rows, Places(deployments), METADATA)
    descriptor = json.loads((folder / "datapackage.json").read_text())
    del descriptor["profile"]  # an address
    for resource in descriptor["resources"]:
        assert resource["schema"] == f"{camtrap.STANDARD}/{resource['name']}-table-schema.json"
        resource["schema"] = table_schema(resource["name"])
    return frictionless.Package.from_descriptor(descriptor, basepath=str(folder))


def test_frictionless_finds_camtrap_dp_valid(tmp_path: Path):
    package = camtrap_package(tmp_path, NIGHTS, [make_place()])
    report = package.validate()
    assert report.valid, report.flatten(["message"])
    assert package.get_resource("media").read_rows() == []


def test_camtrap_observations_say_sex_machine_and_zeros_and_count_only_catches(tmp_path: Path):
    rows = camtrap_package(tmp_path, NIGHTS, [make_place()]).get_resource("observations").read_rows()
    found = [(row["observationType"], row["sex"], row["count"]) for row in rows]
    assert found == [
        ("animal", "female", 12),
        ("animal", None, 3),
        ("blank", None, None),
        ("animal", "female", None),
        ("animal", "male", None),
    ]
    assert rows[0]["observationTags"] == "statistic:sum | Female:12 | Male:0 | Out of Focus:3"
    assert rows[3]["observationTags"].startswith("statistic:peak | Female:5")
    assert {row["classificationMethod"] for row in rows} == {"machine"}
    assert {row["classifiedBy"] for row in rows} == {"pico@0123456789abcdef"}
    assert "0.35" in rows[0]["observationComments"]


def test_camtrap_deployments_flag_doubtful_clocks_and_name_nights_without_observation(tmp_path: Path):
    other = make_place("t2", bait="")
    rows = [*NIGHTS, make_night({"Female": 1}, trap="t2")]
    first, second = camtrap_package(tmp_path, rows, [make_place(), other]).get_resource("deployments").read_rows()
    assert (first["timestampIssues"], second["timestampIssues"]) == (True, False)
    assert (first["baitUse"], second["baitUse"]) == (True, False)
    assert str(NIGHTS[2].night) in first["deploymentComments"]
    assert first["deploymentEnd"].timestamp() * 1000 == NIGHTS[-1].ends_ms


def test_camtrap_refuses_a_trap_without_a_position_by_name(tmp_path: Path):
    with pytest.raises(DataError, match="demo/t1 has no deployment with a position"):
        write_camtrap(tmp_path, NIGHTS, Places(), METADATA)


def test_the_camtrap_package_has_what_the_profile_requires(tmp_path: Path):
    write_camtrap(tmp_path, NIGHTS, PLACES, METADATA)
    package = json.loads((tmp_path / "datapackage.json").read_text())
    required = {"resources", "profile", "created", "contributors", "project", "spatial", "temporal", "taxonomic"}
    assert required <= package.keys()
    project = {"title", "samplingDesign", "captureMethod", "individualAnimals", "observationLevel"}
    assert project <= package["project"].keys()
    assert {one["scope"] for one in package["licenses"]} == {"data", "media"}
    assert package["temporal"]["start"] == str(NIGHT)
