"""The reports of a build: report.json for programs, report.md and report.html for people."""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from trap_contract.dataset import DataSet
from trap_contract.manifest import Manifest, Metrics

from trap_export.agreement import Agreement, agree
from trap_export.costs import Latency, latencies, peak_memory, processor
from trap_export.evaluation import Scored, on_trap
from trap_export.samples import drawn, spread

_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Tried:
    """One line of a sweep; p50 in milliseconds."""

    variant: str
    map50_95: float
    p50: float
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A finished bundle, what it scores and finds, and what the gate has against it."""

    path: Path
    sha256: str
    precision: str
    variant: str
    metrics: Metrics
    scored: list[Scored]
    faults: tuple[str, ...]
    swept: tuple[Tried, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of the file, or of all files of the folder."""
        path = self.path
        return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size


@dataclass(frozen=True, slots=True)
class Row:
    """A bundle and what was measured of it for the report; memory in bytes."""

    bundle: Bundle
    latency: Latency
    memory: int
    agreement: Agreement

    @property
    def name(self) -> str:
        """Of the file or folder."""
        return self.bundle.path.name

    def as_json(self) -> dict[str, object]:
        """For report.json."""
        return {
            "sha256": self.bundle.sha256,
            "bytes": self.bundle.size_bytes,
            "precision": self.bundle.precision,
            "quantisation": self.bundle.variant,
            "metrics": self.bundle.metrics.model_dump(),
            "latency_ms": self.latency.as_json(),
            "peak_memory_bytes": self.memory,
            "agreement": {
                "pairs": len(self.agreement.pairs),
                "lost": self.agreement.lost,
                "new": self.agreement.new,
                "mean_overlap": round(self.agreement.mean_overlap, 4),
                "mean_score_change": round(self.agreement.mean_score_change, 4),
            },
            "sweep": [
                {"variant": one.variant, "map50_95": one.map50_95, "p50_ms": round(one.p50, 4), "faults": one.faults}
                for one in self.bundle.swept
            ],
        }


def write_reports(
    bundles: list[Bundle], data: DataSet, reference: list[Scored], base: Manifest, folder: Path, *, rounds: int
) -> list[Path]:
    """Time the bundles, compare them with what the network finds (`reference`), and write the reports; their paths."""
    times = latencies({bundle.path.name: bundle.path for bundle in bundles}, rounds)
    rows = [
        Row(
            bundle,
            times[bundle.path.name],
            peak_memory(bundle.path),
            agree(reference, bundle.scored, base.threshold, base.iou),
        )
        for bundle in bundles
    ]
    name, sets = processor()
    machine = f"{name} ({', '.join(sets) or 'no instruction set for INT8'})"
    known = {"base": base, "rows": rows, "rounds": rounds, "machine": machine, "data": data.file.parent.name}
    texts = {
        "report.json": json.dumps({row.name: row.as_json() for row in rows}, indent=1) + "\n",
        "report.md": _rendered("report.md.j2", known),
        "report.html": _rendered("report.html.j2", {**known, "samples": _samples(rows, data, reference, base)}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def _samples(
    rows: list[Row], data: DataSet, reference: list[Scored], base: Manifest
) -> tuple[list[str], list[list[str]]]:
    """Titles of the columns, and for each sample picture one drawing a column."""
    int8 = [row for row in rows if row.bundle.precision == "int8"]
    pictures = data.pictures("val")
    lines = []
    for place in spread(len(pictures), _SAMPLES):
        versions = [reference[place], *(row.bundle.scored[place] for row in int8)]
        found = [on_trap(one.found, base.threshold, base.iou) for one in versions]
        lines.append([*drawn(pictures[place], found, base.classes)])
    return ["network, float32", *(row.name for row in int8)], lines


def _rendered(name: str, known: dict[str, object]) -> str:
    environment = Environment(
        autoescape=name.endswith(".html.j2"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = (resources.files("trap_export") / "templates" / name).read_text()
    return environment.from_string(text).render(known)
