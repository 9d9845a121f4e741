"""trap-export: build bundles, measure them, show what they say of themselves."""

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from trap_contract.bundle import read_manifest
from trap_contract.command import run_command
from trap_contract.dataset import DataSet
from trap_contract.detector import Detector
from trap_contract.errors import BundleError, ConfigError
from trap_contract.manifest import Metrics
from trap_contract.quiet import quiet_ultralytics
from trap_contract.signature import load_public_key

from trap_export.evaluation import measure, score_pictures
from trap_export.seal import inspect
from trap_export.signing import load_key, make_key, sign_bundle

if TYPE_CHECKING:  # the module imports every converter
    from trap_export.report import Bundle

app = typer.Typer(help="Model bundles: build, eval, sign, show.", no_args_is_help=True, add_completion=False)
console = Console(stderr=True)
CACHE = Path(".cache/zancudo")
_PIXELS: Final = {"golden": {"__all__": {"jpeg"}}}
"""What nobody wants to read of a manifest."""

Data = Annotated[Path, typer.Option("--data", help="Data set YAML: train calibrates, val measures.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def build(
    weights: Annotated[Path, typer.Argument(help="Trained student, best.pt.")],
    *,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder for the bundles.")],
    name: Annotated[str, typer.Option(help="Name of the model; default: of the run folder.")] = "",
    report: Annotated[Path | None, typer.Option(help="trap-train's report.json, for the provenance.")] = None,
    imgsz: Annotated[str, typer.Option(help="Input side, px, or WIDTHxHEIGHT.")] = "224",
    calibration: Annotated[int, typer.Option(help="Train pictures that set the INT8 ranges.", min=32)] = 300,
    formats: Annotated[str, typer.Option(help="Of tflite, onnx, openvino, jetson.")] = "tflite,onnx,openvino",
    sweep: Annotated[bool, typer.Option("--sweep", help="Measure every way to quantise, and take the best.")] = False,
    max_drop: Annotated[float, typer.Option(help="mAP50-95 a bundle may lose before it is refused.", min=0)] = 0.005,
    max_class_drop: Annotated[float, typer.Option(help="AP50 any class may lose.", min=0)] = 0.03,
    as_json: AsJson = False,
) -> None:
    """Write bundles, float and INT8, each opened again and measured on val; a bundle that loses too much is refused."""
    from trap_export.building import Plan, build
    from trap_export.gate import Limits
    from trap_export.provenance import read_provenance

    width, height = _sides(imgsz)
    known = report or _report_beside(weights)
    plan = Plan(
        weights,
        DataSet.load(data),
        out,
        name or _name(weights),
        width,
        height,
        calibration,
        read_provenance(known),
        _formats(formats),
        Limits(max_drop, max_class_drop),
        sweep,
    )
    with redirect_stdout(sys.stderr), console.status("reading") as status:  # the converters are talkative
        quiet_ultralytics(CACHE)
        bundles = build(plan, status.update)
    if as_json:
        rows = {b.path.name: {"sha256": b.sha256, "bytes": b.size_bytes, **b.metrics.model_dump()} for b in bundles}
        print(json.dumps(rows))
        return
    _show_bundles(bundles, str(out))


@app.command(name="eval")
def evaluate(
    bundle: Annotated[Path, typer.Argument(help=".tflite, .onnx or an OpenVINO folder; stock exports too.")],
    data: Data,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    threads: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    as_json: AsJson = False,
) -> None:
    """Per-class mAP50 and mAP50-95, through the very decoder the trap uses."""
    detector, pictures = Detector.load(bundle, threads), DataSet.load(data)
    total, settings = len(pictures.pictures(split)), detector.settings
    scored = list(track(score_pictures(detector, pictures, split), "measuring", total, console=console))
    with redirect_stdout(sys.stderr):  # Ultralytics announces itself
        quiet_ultralytics(CACHE)
        metrics = measure(scored, detector.manifest.classes, settings.threshold, settings.iou)
    if as_json:
        print(json.dumps({"bundle": str(bundle), "sha256": detector.sha256, "split": split, **metrics.model_dump()}))
    else:
        _show(metrics, f"{bundle.name} on {split}, {metrics.pictures} pictures")


@app.command()
def keygen(key: Annotated[Path, typer.Argument(help="Private key to write; the public one goes to KEY.pub.")]) -> None:
    """Make a key pair for signing; the private key never leaves this machine, traps are given KEY.pub."""
    print(make_key(key))


@app.command()
def sign(
    bundle: Annotated[Path, typer.Argument(help="A bundle of ours.")],
    key: Annotated[Path, typer.Option("--key", help="Private key, from trap-export keygen.")],
) -> None:
    """Write the signature of a bundle beside it, as BUNDLE.sig."""
    print(sign_bundle(bundle, load_key(key)))


@app.command()
def show(
    bundle: Annotated[Path, typer.Argument(help="A bundle of ours.")],
    trust: Annotated[list[Path] | None, typer.Option(help="Public key to trust; repeat for more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the manifest, and whether digest and signature hold; exit 1 if not, or if --trust is given and unsigned."""
    manifest = read_manifest(bundle)
    if manifest is None:
        raise BundleError(f"{bundle}: holds no manifest of ours; trap-export build makes one that does")
    seal = inspect(bundle, [load_public_key(file) for file in trust or []])
    if as_json:
        print(json.dumps({"manifest": manifest.model_dump(mode="json", exclude=_PIXELS), **seal.as_json()}))
    else:
        print(manifest.model_dump_json(indent=1, exclude=_PIXELS))
        print(seal.text())
    if seal.fault and (trust or seal.key):
        raise BundleError(seal.fault)


def main() -> None:
    """Entry point of trap-export."""
    run_command(app)


def _show(metrics: Metrics, title: str) -> None:
    table = Table("class", "mAP50", "mAP50-95", title=title)
    for name, scores in metrics.classes.items():
        table.add_row(name, f"{scores.map50:.3f}", f"{scores.map50_95:.3f}")
    table.add_row("all", f"{metrics.map50:.3f}", f"{metrics.map50_95:.3f}", style="bold")
    Console().print(table)


def _show_bundles(bundles: "list[Bundle]", title: str) -> None:
    table = Table("bundle", "mAP50", "mAP50-95", "MB", title=title)
    for bundle in bundles:
        scores = (f"{bundle.metrics.map50:.3f}", f"{bundle.metrics.map50_95:.3f}")
        table.add_row(bundle.path.name, *scores, f"{bundle.size_bytes / 1e6:.1f}")
    Console().print(table)


def _sides(text: str) -> tuple[int, int]:
    sides = [int(part) if part.isdecimal() else 0 for part in text.lower().split("x")]
    if len(sides) > 2 or min(sides) < 32:
        raise ConfigError(f"--imgsz {text!r}: give a side of at least 32 px, or WIDTHxHEIGHT")
    return sides[0], sides[-1]


def _formats(text: str) -> tuple[str, ...]:
    from trap_export.building import FORMATS

    names = tuple(dict.fromkeys(text.split(",")))
    if not set(names) <= set(FORMATS):
        raise ConfigError(f"--formats {text!r}: give some of {','.join(FORMATS)}")
    return names


def _name(weights: Path) -> str:
    """runs/NAME/student/weights/best.pt is called NAME, any other file by its own name."""
    parts = weights.resolve().parts
    return parts[-4] if parts[-2:] == ("weights", "best.pt") and len(parts) > 4 else weights.stem


def _report_beside(weights: Path) -> Path | None:
    file = weights.resolve().parents[2] / "report.json" if len(weights.resolve().parts) > 4 else weights
    return file if file.name == "report.json" and file.exists() else None
