"""Build every bundle of a student: written aside, opened again, measured, and only then moved into place."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from trap_contract.bundle import bundle_digest, embed_manifest
from trap_contract.dataset import DataSet
from trap_contract.detector import Detector
from trap_contract.errors import DataError, StoreError
from trap_contract.manifest import HeadSpec, InputSpec, Manifest, Metrics, Provenance

from trap_export import onnx, openvino, tflite
from trap_export.calibration import Calibration, choose_calibration, load_calibration
from trap_export.evaluation import best_threshold, measure, score_pictures
from trap_export.network import Network, load_network


class Writer(Protocol):
    """A module that makes the files of one format."""

    def write_float(self, network: Network, path: Path, /) -> None:
        """Write the float32 model."""

    def write_int8(self, network: Network, float_path: Path, calibration: Calibration, path: Path, /) -> None:
        """Write the INT8 model, from the float one where that serves."""

    def describe(self, network: Network, path: Path, /) -> tuple[InputSpec, HeadSpec]:
        """Tensor names, types and scales of a file."""


FORMATS: dict[str, tuple[Writer, str]] = {
    "tflite": (tflite, ".tflite"),
    "onnx": (onnx, ".onnx"),
    "openvino": (openvino, "_openvino"),
}
TRAP_IOU = 0.5
TOOLS = (
    "ai-edge-litert",
    "ai-edge-quantizer",
    "litert-torch",
    "nncf",
    "onnxruntime",
    "openvino",
    "torch",
    "ultralytics",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build: `provenance` is what is known of the training, `calibration_count` train pictures set ranges."""

    weights: Path
    data: DataSet
    out: Path
    name: str
    width: int
    height: int
    calibration_count: int
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Bundle:
    """A finished bundle and what it scores."""

    path: Path
    sha256: str
    size_bytes: int
    precision: str
    metrics: Metrics


def build(plan: Plan, tell: Callable[[str], None]) -> list[Bundle]:
    """Write all bundles and report.json into plan.out; `tell` is called before each step.

    Raises BundleError, DataError or StoreError; then no file of plan.out is half written, and none has changed
    unless a file system fails while finished bundles are moved into place.
    """
    _writable(plan.out)
    network = load_network(plan.weights, plan.width, plan.height)
    if network.classes != plan.data.names:
        raise DataError(f"{plan.weights}: its classes {network.classes} are not {plan.data.file}'s: {plan.data.names}")
    calibration = load_calibration(choose_calibration(plan.data, plan.calibration_count), plan.width, plan.height)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=plan.out) as aside:
        drafts = _drafts(network, calibration, Path(aside), _base_manifest(plan, network), tell)
        bundles = list(_finished(plan, drafts, tell))
        report = Path(aside) / "report.json"
        report.write_text(json.dumps(_report(bundles), indent=1))
        published = [_published(bundle, plan.out) for bundle in bundles]
        report.replace(plan.out / report.name)
        return published


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise StoreError(f"{out}: can't be written: {error.strerror}: give another --out") from error


def _drafts(
    network: Network, calibration: Calibration, aside: Path, base: Manifest, tell: Callable[[str], None]
) -> Iterator[tuple[Path, Manifest]]:
    """Model files still without their manifests, each with what is known of it; float before INT8."""
    for format_name, (writer, suffix) in FORMATS.items():
        plain, quantised = (aside / f"{base.id}_{precision}{suffix}" for precision in ("float32", "int8"))
        tell(f"writing {plain.name}")
        writer.write_float(network, plain)
        yield plain, _described(base, writer, network, plain, format=format_name, precision="float32")
        tell(f"writing {quantised.name}")
        writer.write_int8(network, plain, calibration, quantised)
        known = base.provenance.model_copy(update={"calibration_digest": calibration.digest})
        changes = {"format": format_name, "precision": "int8", "provenance": known}
        yield quantised, _described(base, writer, network, quantised, **changes)


def _described(base: Manifest, writer: Writer, network: Network, path: Path, **changes: object) -> Manifest:
    source, head = writer.describe(network, path)
    return base.model_copy(update={**changes, "input": source, "head": head})


def _finished(plan: Plan, drafts: Iterable[tuple[Path, Manifest]], tell: Callable[[str], None]) -> Iterator[Bundle]:
    """Measure each draft on the val split and embed its manifest.

    The first one, float, is the reference: its best threshold is recommended by all.
    """
    threshold, reference = None, None
    for path, manifest in drafts:
        tell(f"measuring {path.name}")
        embed_manifest(path, manifest)
        scored = list(score_pictures(Detector.load(path), plan.data, "val"))
        threshold = best_threshold(scored) if threshold is None else threshold
        metrics = measure(scored, plan.data.names, threshold, manifest.iou)
        reference = reference or metrics
        changes = {"threshold": threshold, "metrics_float": reference, "metrics": metrics}
        embed_manifest(path, manifest.model_copy(update=changes))
        yield Bundle(path, bundle_digest(path), _size(path), manifest.precision, metrics)


def _base_manifest(plan: Plan, network: Network) -> Manifest:
    """What all bundles of a build share; the tensors are those of the float network until a file is described."""
    tools = {tool: version(tool) for tool in TOOLS}
    known = {"dataset_digest": plan.data.digest("train"), "tools": tools}
    source, head = onnx.describe(network, Path())
    return Manifest(
        id=plan.name,
        format="onnx",
        precision="float32",
        classes=network.classes,
        input=source,
        head=head,
        threshold=0.25,
        iou=TRAP_IOU,
        provenance=plan.provenance.model_copy(update=known),
    )


def _report(bundles: list[Bundle]) -> dict[str, object]:
    return {
        bundle.path.name: {
            "sha256": bundle.sha256,
            "bytes": bundle.size_bytes,
            "precision": bundle.precision,
            "metrics": bundle.metrics.model_dump(),
        }
        for bundle in bundles
    }


def _published(bundle: Bundle, out: Path) -> Bundle:
    """Move a bundle into place; a file is replaced in one step, a folder as soon as its older self is gone."""
    target = out / bundle.path.name
    if bundle.path.is_dir() and target.exists():
        shutil.rmtree(target)
    bundle.path.replace(target)
    return Bundle(target, bundle.sha256, bundle.size_bytes, bundle.precision, bundle.metrics)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
