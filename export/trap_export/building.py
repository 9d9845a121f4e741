"""Build every bundle of a student: written aside, opened again, measured, and only then moved into place."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from trap_contract.bundle import bundle_digest, embed_manifest
from trap_contract.dataset import DataSet
from trap_contract.detector import Detector
from trap_contract.errors import ConfigError, DataError, StoreError
from trap_contract.manifest import HeadSpec, InputSpec, Manifest, Metrics, Provenance

from trap_export import onnx, openvino, tflite
from trap_export.calibration import Calibration, choose_calibration, load_calibration
from trap_export.evaluation import Scored, best_threshold, measure, score_pictures
from trap_export.network import Network, load_network

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
class Draft:
    """A model file without its manifest."""

    path: Path
    format: str
    precision: str
    input: InputSpec
    head: HeadSpec


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

    Raises BundleError, DataError or StoreError; then nothing in plan.out has changed.
    """
    _writable(plan.out)
    network = load_network(plan.weights, plan.width, plan.height)
    if network.classes != plan.data.names:
        raise DataError(f"{plan.weights}: its classes {network.classes} are not {plan.data.file}'s: {plan.data.names}")
    calibration = load_calibration(choose_calibration(plan.data, plan.calibration_count), plan.width, plan.height)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=plan.out) as aside:
        drafts = list(_drafts(network, calibration, Path(aside), plan.name, tell))
        bundles = list(_finished(plan, drafts, calibration, tell))
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
    network: Network, calibration: Calibration, aside: Path, name: str, tell: Callable[[str], None]
) -> Iterator[Draft]:
    file = aside / f"{name}_float32.tflite"
    tell("TFLite float32")
    tflite.write_float(network, file)
    yield Draft(file, "tflite", "float32", *tflite.describe(network, file))
    quantised = aside / f"{name}_int8.tflite"
    tell("TFLite INT8")
    tflite.write_int8(file, calibration, quantised)
    yield Draft(quantised, "tflite", "int8", *tflite.describe(network, quantised))
    file, quantised = aside / f"{name}_float32.onnx", aside / f"{name}_int8.onnx"
    tell("ONNX float32")
    onnx.write_float(network, file)
    yield Draft(file, "onnx", "float32", *onnx.describe(network))
    tell("ONNX INT8")
    onnx.write_int8(network, file, calibration, quantised)
    yield Draft(quantised, "onnx", "int8", *onnx.describe(network))
    file, quantised = aside / f"{name}_float32_openvino", aside / f"{name}_int8_openvino"
    tell("OpenVINO float32")
    openvino.write_float(network, file)
    yield Draft(file, "openvino", "float32", *openvino.describe(network))
    tell("OpenVINO INT8")
    openvino.write_int8(network, calibration, quantised)
    yield Draft(quantised, "openvino", "int8", *openvino.describe(network))


def _finished(
    plan: Plan, drafts: list[Draft], calibration: Calibration, tell: Callable[[str], None]
) -> Iterator[Bundle]:
    """Measure each draft on the val split and embed its manifest; the float TFLite comes first and is the reference."""
    threshold, reference = 0.25, None
    for draft in drafts:
        tell(f"measuring {draft.path.name}")
        embed_manifest(draft.path, _manifest(plan, draft, calibration, threshold, None, None))
        scored = _scored(draft.path, plan.data)
        if reference is None:
            threshold = best_threshold(scored)
        metrics = measure(scored, plan.data.names, threshold, TRAP_IOU)
        reference = reference or metrics
        embed_manifest(draft.path, _manifest(plan, draft, calibration, threshold, reference, metrics))
        yield Bundle(draft.path, bundle_digest(draft.path), _size(draft.path), draft.precision, metrics)


def _scored(path: Path, data: DataSet) -> list[Scored]:
    return list(score_pictures(Detector.load(path), data, "val"))


def _manifest(
    plan: Plan,
    draft: Draft,
    calibration: Calibration,
    threshold: float,
    reference: Metrics | None,
    metrics: Metrics | None,
) -> Manifest:
    known = plan.provenance.model_copy(
        update={
            "dataset_digest": plan.data.digest("train"),
            "calibration_digest": calibration.digest if draft.precision == "int8" else None,
            "tools": {tool: version(tool) for tool in TOOLS},
        }
    )
    return Manifest.model_validate(
        {
            "id": plan.name,
            "format": draft.format,
            "precision": draft.precision,
            "classes": plan.data.names,
            "input": draft.input,
            "head": draft.head,
            "threshold": threshold,
            "iou": TRAP_IOU,
            "provenance": known,
            "metrics_float": reference,
            "metrics": metrics,
        }
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


def provenance_of(report: Path | None) -> Provenance:
    """What trap-train's report.json says of the weights.

    Raises ConfigError when the file is not such a report.
    """
    if report is None:
        return Provenance()
    try:
        content = json.loads(report.read_text())
        recipe = content["recipe"]
        flat = {
            f"{part}.{key}": value for part in ("optimisation", "augmentation") for key, value in recipe[part].items()
        }
        networks = {
            f"{part}.{key}": value for part in ("teacher", "student") for key, value in (recipe[part] or {}).items()
        }
        terms = {f"distillation.{key}": value for key, value in (recipe["distillation"] or {}).items()}
        return Provenance(
            dataset=str(content.get("dataset", "")),
            teacher=(recipe["teacher"] or {}).get("model", ""),
            recipe={"name": recipe["name"], "imgsz": recipe["imgsz"], **networks, **terms, **flat},
            seed=recipe["seed"],
        )
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{report}: not a report of trap-train: {error!r}") from error
