"""Darwin Core Archive: trap-nights as events, classes as occurrences (absences too), effort in the Humboldt extension.

Terms: rs.tdwg.org/dwc/terms, rs.tdwg.org/eco/terms (Humboldt extension, row type eco:Event); archive: Darwin Core text
guide (dwc.tdwg.org/text). Tabs and line ends in a text become spaces, for the format has no way to write them.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree as ET

from trap_server.exporting.metadata import ExportMetadata, Seen
from trap_server.exporting.rows import MEANINGS, Places, Row, iso, local, sex_of, utc
from trap_server.exporting.tables import Cell, written
from trap_server.nights import Deployment

DWC = "http://rs.tdwg.org/dwc/terms/"
ECO = "http://rs.tdwg.org/eco/terms/"
TEXT = "http://rs.tdwg.org/dwc/text/"
EML = "https://eml.ecoinformatics.org/eml-2.2.0"
SECONDS_AN_HOUR = 3600
FORBIDDEN = ("Cc", "Cs")  # control characters and halves of surrogate pairs

EVENT = (
    "eventID", "eventDate", "locationID", "locality", "decimalLatitude", "decimalLongitude", "geodeticDatum",
    "samplingProtocol", "sampleSizeValue", "sampleSizeUnit", "samplingEffort", "eventRemarks",
)  # fmt: skip
OCCURRENCE = (
    "eventID", "occurrenceID", "basisOfRecord", "scientificName", "taxonRank", "sex", "lifeStage",
    "occurrenceStatus", "individualCount", "organismQuantity", "organismQuantityType", "identifiedBy",
    "identificationRemarks", "occurrenceRemarks",
)  # fmt: skip
HUMBOLDT = (
    "targetTaxonomicScope", "targetLifeStageScope", "isTaxonomicScopeFullyReported", "isAbsenceReported",
    "isAbundanceReported", "isLeastSpecificTargetCategoryQuantityInclusive", "inventoryTypes", "protocolNames",
    "samplingPerformedBy", "isSamplingEffortReported", "samplingEffortProtocol", "samplingEffortValue",
    "samplingEffortUnit", "eventDurationValue", "eventDurationUnit",
)  # fmt: skip


def write_darwin_core(folder: Path, rows: Iterable[Row], places: Places, metadata: ExportMetadata) -> Seen:
    """`event.txt`, `occurrence.txt`, `humboldt.txt`, `meta.xml` and `eml.xml`, from trap-nights."""
    seen = Seen()
    with (
        _text(folder / "event.txt", EVENT) as events,
        _text(folder / "occurrence.txt", OCCURRENCE) as occurrences,
        _text(folder / "humboldt.txt", ("eventID", *HUMBOLDT)) as inventories,
    ):
        for row in rows:
            seen.add(row)
            _line(events, _event(row, places.of(row)))
            _line(inventories, [row.key, *_inventory(row, metadata)])
            for name, count in (row.counts or {}).items():
                _line(occurrences, _occurrence(row, name, count, metadata))
    _save(folder / "meta.xml", _meta())
    _save(folder / "eml.xml", _eml(metadata, seen))
    return seen


def _event(row: Row, place: Deployment | None) -> list[Cell]:
    begins, ends = (iso(local(moment, place)) for moment in (row.begins_ms, row.ends_ms))
    site = row.site or (place.site if place else None)
    located = place is not None and place.latitude is not None
    where: list[Cell] = [site, place.name if place else None]
    where += [place.latitude, place.longitude, "EPSG:4326"] if place and located else [None, None, None]
    observed: list[Cell] = [round(row.observed_s, 3), "second", row.effort]
    return [row.key, f"{begins}/{ends}", *where, _protocol(place), *observed, _remarks(row)]


def _protocol(place: Deployment | None) -> str:
    """What the place tells of trap and bait, in words."""
    told = [] if place is None else [text for text in (place.trap_type, place.bait and f"bait {place.bait}") if text]
    return "; ".join(["camera trap for mosquitoes, pictures counted by machine", *told])


def _remarks(row: Row) -> str:
    remarks = [f"counts {row.semantics}"]
    if row.counts is None:
        remarks.append("nothing was observed, so neither presence nor absence is reported")
    if row.problem:
        remarks.append("trap problem: coverage is too low to compare this night with others")
    if row.clock_repaired:
        remarks.append("the trap's clock was repaired or is doubtful")
    return "; ".join(remarks)


def _occurrence(row: Row, name: str, count: int, metadata: ExportMetadata) -> list[Cell]:
    status = "present" if count else "absent"
    taxon: list[Cell] = [metadata.taxon, metadata.taxon_rank, sex_of(name), "adult", status]
    number: list[Cell] = [count if row.is_catch else None, count, MEANINGS[row.statistic]]
    made = f"{metadata.software}; score threshold {row.thresholds_text or 'not known'}"
    ids: list[Cell] = [row.key, f"{row.key}:{name}", "MachineObservation"]
    remark = f"class of the model: {name}"
    if not (count or row.is_catch):
        remark += "; absent by this statistic, which can miss a short visit"
    return [*ids, *taxon, *number, row.models_text, made, remark]


def _inventory(row: Row, metadata: ExportMetadata) -> list[Cell]:
    counts = row.counts is not None
    scope: list[Cell] = [metadata.taxon, "adult", counts, counts, counts, False, "trap or sample"]
    effort: list[Cell] = [True, "seconds in which the board was analysed", round(row.observed_s, 3), "trap seconds"]
    hours = round((row.ends_ms - row.begins_ms) / 1000 / SECONDS_AN_HOUR, 4)
    return [*scope, "camera trap, machine counting", metadata.publisher, *effort, hours, "hours"]


def _text(path: Path, header: Sequence[str]) -> TextIO:
    file = path.open("w", encoding="utf-8", newline="\n")
    _line(file, header)
    return file


def _line(file: TextIO, cells: Sequence[Cell]) -> None:
    file.write("\t".join(written(_one_line(cell) if isinstance(cell, str) else cell) for cell in cells) + "\n")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _meta() -> ET.Element:
    archive = ET.Element("archive", {"xmlns": TEXT, "metadata": "eml.xml"})
    _table(archive, "core", f"{DWC}Event", "event.txt", [f"{DWC}{term}" for term in EVENT])
    _table(archive, "extension", f"{DWC}Occurrence", "occurrence.txt", [f"{DWC}{term}" for term in OCCURRENCE])
    humboldt = [f"{DWC}eventID", *(f"{ECO}{term}" for term in HUMBOLDT)]
    _table(archive, "extension", f"{ECO}Event", "humboldt.txt", humboldt)
    return archive


def _table(archive: ET.Element, tag: str, row_type: str, file: str, terms: Sequence[str]) -> None:
    form = {"encoding": "UTF-8", "fieldsTerminatedBy": "\\t", "linesTerminatedBy": "\\n", "fieldsEnclosedBy": ""}
    table = ET.SubElement(archive, tag, {"rowType": row_type, "ignoreHeaderLines": "1", **form})
    ET.SubElement(ET.SubElement(table, "files"), "location").text = file
    ET.SubElement(table, "id" if tag == "core" else "coreid", {"index": "0"})
    for index, term in enumerate(terms):
        ET.SubElement(table, "field", {"index": str(index), "term": term})


def _eml(metadata: ExportMetadata, seen: Seen) -> ET.Element:
    """Ecological Metadata Language 2.2.0 (eml.ecoinformatics.org): who, what, when, how, under which licence."""
    created = utc(metadata.created_at_ms)
    package = f"zancudo.{metadata.created_at_ms}"
    root = ET.Element("eml:eml", {"xmlns:eml": EML, "packageId": package, "system": "zancudo", "scope": "system"})
    dataset = ET.SubElement(root, "dataset")
    _tag(dataset, "title", metadata.title)
    for role in ("creator", "metadataProvider"):
        _tag(ET.SubElement(dataset, role), "organizationName", metadata.publisher)
    _tag(dataset, "pubDate", created.date().isoformat())
    _tag(dataset, "language", "en")
    _tag(ET.SubElement(dataset, "abstract"), "para", f"Counts of {metadata.taxon}. {seen.sentence(metadata)}")
    _tag(ET.SubElement(dataset, "intellectualRights"), "para", metadata.licence or "no licence told")
    _coverage(ET.SubElement(dataset, "coverage"), metadata, seen)
    contact = ET.SubElement(dataset, "contact")
    _tag(contact, "organizationName", metadata.publisher)
    if metadata.contact:
        _tag(contact, "electronicMailAddress", metadata.contact)
    step = ET.SubElement(ET.SubElement(dataset, "methods"), "methodStep")
    _tag(ET.SubElement(step, "description"), "para", seen.sentence(metadata))
    return root


def _coverage(coverage: ET.Element, metadata: ExportMetadata, seen: Seen) -> None:
    if seen.begins_ms is not None and seen.ends_ms is not None:
        dates = ET.SubElement(ET.SubElement(coverage, "temporalCoverage"), "rangeOfDates")
        for name, moment_ms in (("beginDate", seen.begins_ms), ("endDate", seen.ends_ms)):
            _tag(ET.SubElement(dates, name), "calendarDate", utc(moment_ms).date().isoformat())
    taxon = ET.SubElement(ET.SubElement(coverage, "taxonomicCoverage"), "taxonomicClassification")
    _tag(taxon, "taxonRankName", metadata.taxon_rank)
    _tag(taxon, "taxonRankValue", metadata.taxon)


def _tag(parent: ET.Element, name: str, text: str) -> None:
    """One element of text on one line, without the characters that XML forbids."""
    kept = (one for one in _one_line(text) if unicodedata.category(one) not in FORBIDDEN and one not in "\ufffe\uffff")
    ET.SubElement(parent, name).text = "".join(kept)


def _save(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)
