"""Build every bundle of a student: written aside, opened again, measured, passed by the gate, then moved into place."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

from trap_contract.bundle import bundle_digest, embed_manifest
from trap_contract.dataset import DataSet
from trap_contract.detector import Detector
from trap_contract.errors import BundleError, DataError, StoreError
from trap_contract.golden import MARGIN, recorded
from trap_contract.letterbox import Pixels
from trap_contract.manifest import HeadSpec, InputSpec, Manifest, Metrics, Provenance
from trap_contract.pictures import read_picture
from trap_contract.signature import signature_file

from trap_export import jetson, onnx, openvino, tflite
from trap_export.calibration import Calibration, choose_calibration, load_calibration
from trap_export.costs import latencies
from trap_export.evaluation import Scored, best_threshold, measure, on_trap, score_pictures
from trap_export.gate import Limits, metric_faults
from trap_export.network import Network, load_network
from trap_export.reference import reference_detector
from trap_export.report import Bundle, Tried, write_reports
from trap_export.samples import spread
from trap_export.structure import structure_faults, symmetry_faults
from trap_export.variants import Variant


class Writer(Protocol):
    """A module that makes the files of one format; the first of its variants is the one to use."""

    VARIANTS: tuple[Variant, ...]

    def write_float(self, network: Network, path: Path, /) -> None:
        """Write the float32 model."""

    def write_int8(
        self, network: Network, float_path: Path, calibration: Calibration, variant: Variant, path: Path, /
    ) -> None:
        """Write the INT8 model, from the float one where that serves."""

    def describe(self, network: Network, path: Path, /) -> tuple[InputSpec, HeadSpec]:
        """Tensor names, types and scales of a file."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is built under one name: which writer, how its files end, and what kind of model they are.

    `is_symmetric`: INT8 zero points must be 0.
    """

    writer: Writer
    suffix: str
    kind: Literal["tflite", "onnx", "openvino"]
    precisions: tuple[str, ...] = ("float32", "int8")
    is_symmetric: bool = False


FORMATS: dict[str, Target] = {
    "tflite": Target(tflite, ".tflite", "tflite"),
    "onnx": Target(onnx, ".onnx", "onnx"),
    "openvino": Target(openvino, "_openvino", "openvino", ("float32", "float16", "int8")),
    "jetson": Target(jetson, "_jetson.onnx", "onnx", ("int8",), is_symmetric=True),
}
DEFAULT_FORMATS = ("tflite", "onnx", "openvino")
ASIDE = ".building-"
ABANDONED_S = 24 * 3600
"""No build takes so long: a folder of one that was not touched since was left by a build that was killed."""
TRAP_IOU = 0.5
GOLDEN = 3
"""Pictures that travel in a bundle, about 15 kB each at 224 px."""
EQUAL = 0.001
"""Variants of a sweep whose mAP50-95 differ by less are equal, and the faster one is taken.

So two sweeps can take different variants, and only then differ in their bytes; the manifest names the variant.
"""
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
    """What to build: `provenance` is what is known of the training, `calibration_count` train pictures set ranges.

    `rounds`: how often each bundle is timed. `sweep`: measure every variant of quantisation instead of the first that
    passes the gate.
    """

    weights: Path
    data: DataSet
    out: Path
    name: str
    width: int
    height: int
    calibration_count: int
    provenance: Provenance
    formats: tuple[str, ...] = DEFAULT_FORMATS
    limits: Limits = field(default_factory=Limits)
    sweep: bool = False
    rounds: int = 100


@dataclass(frozen=True, slots=True)
class Work:
    """What all files of a build share: `reference` is what the network itself scores, `golden` travels in them."""

    plan: Plan
    network: Network
    calibration: Calibration
    base: Manifest
    reference: Metrics
    golden: list[Pixels]
    tell: Callable[[str], None]


def build(plan: Plan, tell: Callable[[str], None]) -> list[Bundle]:
    """Write all bundles and their reports into plan.out; `tell` is called before each step.

    Raises BundleError (also when the gate refuses a file), DataError or StoreError; then no file of plan.out is half
    written, and none has changed unless a file system fails while finished bundles are moved into place.
    """
    _writable(plan.out)
    network = load_network(plan.weights, plan.width, plan.height)
    if network.classes != plan.data.names:
        raise DataError(f"{plan.weights}: its classes {network.classes} are not {plan.data.file}'s: {plan.data.names}")
    calibration = load_calibration(choose_calibration(plan.data, plan.calibration_count), plan.width, plan.height)
    try:
        _forget_killed(plan.out, time.time())
        with tempfile.TemporaryDirectory(prefix=ASIDE, dir=plan.out) as aside:
            return _build_aside(plan, network, calibration, Path(aside), tell)
    except OSError as error:
        raise StoreError(f"{plan.out}: the build stopped: {error}: make room or give another --out") from error


def _build_aside(
    plan: Plan, network: Network, calibration: Calibration, aside: Path, tell: Callable[[str], None]
) -> list[Bundle]:
    tell("measuring the network")
    base = _base_manifest(plan, network)
    scored = list(score_pictures(reference_detector(network, base), plan.data, "val"))
    threshold = best_threshold(scored)
    reference = measure(scored, plan.data.names, threshold, base.iou)
    base = base.model_copy(update={"threshold": threshold, "metrics_float": reference})
    work = Work(plan, network, calibration, base, reference, _golden_pictures(plan.data, scored, base), tell)
    bundles = [bundle for name in plan.formats for bundle in _format(work, name, aside)]
    tell("timing and reporting")
    reports = write_reports(bundles, plan.data, scored, base, aside, rounds=plan.rounds)
    published = [replace(bundle, path=_published(bundle.path, plan.out, aside)) for bundle in bundles]
    for report in reports:
        report.replace(plan.out / report.name)
    return published


def _golden_pictures(data: DataSet, scored: list[Scored], base: Manifest) -> list[Pixels]:
    """Val pictures in which the network surely finds insects, evenly spaced; of any kind where there are none."""
    sure = [place for place, one in enumerate(scored) if len(on_trap(one.found, base.threshold + MARGIN, base.iou))]
    places, pictures = sure or list(range(len(scored))), data.pictures("val")
    return [read_picture(pictures[places[place]]) for place in spread(len(places), GOLDEN)]


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise StoreError(f"{out}: can't be written: {error.strerror}: give another --out") from error


def _forget_killed(out: Path, now_s: float) -> None:
    """A build that was killed could not tidy up; a later one does."""
    for left in out.glob(f"{ASIDE}*"):
        with contextlib.suppress(FileNotFoundError):  # another build has just ended
            if now_s - left.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


def _format(work: Work, name: str, aside: Path) -> Iterator[Bundle]:
    """The bundles of one format: float ones must pass, of the INT8 ones the best that passes is taken."""
    target, folder = FORMATS[name], aside / name
    folder.mkdir()
    paths = {kind: folder / f"{work.base.id}_{kind}{target.suffix}" for kind in ("float32", "float16", "int8")}
    work.tell(f"writing {paths['float32'].name}")
    target.writer.write_float(work.network, paths["float32"])
    if "float16" in target.precisions:
        openvino.write_float16(paths["float32"], paths["float16"])
    for precision in target.precisions:
        if precision != "int8":
            yield _passed(work, [_finished(work, target, paths[precision], precision, None)])
    bundles = [*_int8(work, target, paths["float32"], paths["int8"])]
    yield _passed(work, bundles)


def _int8(work: Work, target: Target, source: Path, path: Path) -> Iterator[Bundle]:
    """INT8 bundles of one variant after another, each in a folder of its own; without a sweep until one passes."""
    for number, variant in enumerate(target.writer.VARIANTS):
        tried = path.parent / str(number) / path.name
        tried.parent.mkdir()
        work.tell(f"writing {path.name}: {variant}")
        target.writer.write_int8(work.network, source, work.calibration, variant, tried)
        bundle = _finished(work, target, tried, "int8", variant)
        yield bundle
        if not bundle.faults and not work.plan.sweep:
            return


def _finished(work: Work, target: Target, path: Path, precision: str, variant: Variant | None) -> Bundle:
    """Embed the manifest in a file, open it again, measure it on the val split, and look for faults."""
    work.tell(f"measuring {path.name}")
    source, head = target.writer.describe(work.network, path)
    known = {"quantisation": str(variant), "calibration_digest": work.calibration.digest} if variant else {}
    changes = {"format": target.kind, "precision": precision, "input": source, "head": head}
    provenance = work.base.provenance.model_copy(update=known)
    manifest = work.base.model_copy(update={**changes, "provenance": provenance})
    embed_manifest(path, manifest)
    detector = Detector.load(path)
    scored = list(score_pictures(detector, work.plan.data, "val"))
    metrics = measure(scored, work.plan.data.names, manifest.threshold, manifest.iou)
    embed_manifest(path, manifest.model_copy(update={"metrics": metrics, "golden": recorded(detector, work.golden)}))
    faults = _faults(work, target, path, manifest, metrics)
    return Bundle(path, bundle_digest(path), precision, str(variant or ""), metrics, scored, faults)


def _faults(work: Work, target: Target, path: Path, manifest: Manifest, metrics: Metrics) -> tuple[str, ...]:
    faults = [*metric_faults(metrics, work.reference, work.plan.limits), *structure_faults(path, manifest)]
    symmetry = symmetry_faults(path) if target.is_symmetric else []
    return (*faults, *symmetry)


def _passed(work: Work, tried: list[Bundle]) -> Bundle:
    """The best of the bundles without a fault: by mAP50-95, and by time among equals.

    Raises BundleError when there is none.
    """
    sound = [bundle for bundle in tried if not bundle.faults]
    if not sound:
        raise BundleError(_refusal(tried))
    return _chosen(sound, tried, work.plan.rounds) if work.plan.sweep and len(tried) > 1 else sound[0]


def _chosen(sound: list[Bundle], tried: list[Bundle], rounds: int) -> Bundle:
    times = latencies({str(bundle.path): bundle.path for bundle in tried}, rounds)
    best = max(bundle.metrics.map50_95 for bundle in sound)
    equal = [bundle for bundle in sound if bundle.metrics.map50_95 > best - EQUAL]
    chosen = min(equal, key=lambda bundle: times[str(bundle.path)].p50)
    rows = [Tried(one.variant, one.metrics.map50_95, times[str(one.path)].p50, one.faults) for one in tried]
    return replace(chosen, swept=tuple(rows))


def _refusal(tried: list[Bundle]) -> str:
    attempts = [f"{bundle.variant or bundle.precision}: {', '.join(bundle.faults)}" for bundle in tried]
    return f"{tried[0].path.name}: refused, nothing is published: " + "; then, as a fallback, ".join(attempts)


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


def _published(path: Path, out: Path, aside: Path) -> Path:
    """Move a bundle into place; a folder's older self is moved out of the way first, a signature of it goes."""
    target = out / path.name
    signature_file(target).unlink(missing_ok=True)
    if target.is_dir():
        target.replace(aside / f"{path.name}.old")
    return path.replace(target)
