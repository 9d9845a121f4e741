"""What the gate lets through and what it refuses, from the words it uses to a build it stops."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trap_contract.bundle import read_manifest
from trap_contract.errors import BundleError
from trap_contract.manifest import ClassMetrics, Manifest, Metrics
from trap_export import building, onnx
from trap_export.building import FORMATS, Plan, build
from trap_export.calibration import Calibration
from trap_export.gate import Limits, metric_faults
from trap_export.network import Network
from trap_export.structure import structure_faults, symmetry_faults
from trap_export.tflite import combined
from trap_export.variants import Variant

from export.conftest import LENIENT


def metrics(mean: float, **classes: float) -> Metrics:
    found = {name: ClassMetrics(map50=value, map50_95=mean) for name, value in classes.items()}
    return Metrics(map50=mean, map50_95=mean, classes=found, pictures=1)


KNOWN = metrics(0.5, Female=0.8, Male=0.6)


@pytest.mark.parametrize(
    "found", [KNOWN, metrics(0.4951, Female=0.771, Male=0.6), metrics(0.9, Female=0.8, Male=0.9)], ids=str
)
def test_what_falls_within_the_limits_passes(found: Metrics) -> None:
    assert list(metric_faults(found, KNOWN, Limits())) == []


def test_a_fall_of_the_mean_is_named_with_its_depth() -> None:
    (fault,) = metric_faults(metrics(0.4949, Female=0.8, Male=0.6), KNOWN, Limits())
    assert fault == "mAP50-95 falls by 0.0051 (0.5000 to 0.4949), at most 0.005 is allowed"


def test_a_fall_of_one_class_is_named_though_the_mean_rises() -> None:
    (fault,) = metric_faults(metrics(0.6, Female=0.9, Male=0.569), KNOWN, Limits())
    assert fault == "AP50 of Male falls by 0.0310 (0.6000 to 0.5690), at most 0.03 is allowed"


def test_a_class_that_is_no_longer_found_has_fallen_to_nothing() -> None:
    faults = list(metric_faults(metrics(0.6, Female=0.9), KNOWN, Limits()))
    assert faults == ["AP50 of Male falls by 0.6000 (0.6000 to 0.0000), at most 0.03 is allowed"]


def manifest_of(bundle: Path) -> Manifest:
    manifest = read_manifest(bundle)
    assert manifest is not None
    return manifest


def test_the_bundles_of_a_build_have_no_structural_fault(bundles: dict[str, Path]) -> None:
    assert {name: structure_faults(path, manifest_of(path)) for name, path in bundles.items()} == {
        name: [] for name in bundles
    }


@pytest.mark.parametrize(
    ("name", "fault"),
    [("tflite-float32", "convolutions are float"), ("onnx-float32", "convolutions outside the last 4 are float")],
)
def test_a_float_file_that_says_it_is_int8_is_found_out(bundles: dict[str, Path], name: str, fault: str) -> None:
    manifest = manifest_of(bundles[name]).model_copy(update={"precision": "int8"})
    (found,) = structure_faults(bundles[name], manifest)
    assert fault in found


def test_transposes_are_found(tmp_path: Path, bundles: dict[str, Path]) -> None:
    import litert_torch
    import torch

    class Turned(torch.nn.Module):
        """Its picture in two other orders of axes."""

        def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return picture.permute(0, 2, 3, 1) * 2, picture.permute(0, 3, 2, 1) * 3

    file = tmp_path / "turned.tflite"
    litert_torch.convert(Turned().eval(), (torch.rand(1, 3, 8, 6),)).export(str(file))
    faults = structure_faults(file, manifest_of(bundles["tflite-float32"]))
    assert faults == ["2 TRANSPOSE operators, at most 1 is sound"]


@pytest.fixture
def quick(plan: Plan, tmp_path: Path) -> Plan:
    """The plan with ONNX only, into a folder of its own."""
    return replace(plan, formats=("onnx",), out=tmp_path / "out")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> list[Variant]:
    """Calibration on black pictures alone: every range is far too small; lists the variants that were tried."""
    tried: list[Variant] = []
    sound = onnx.write_int8

    def spoilt(net: Network, source: Path, known: Calibration, variant: Variant, path: Path) -> None:
        tried.append(variant)
        sound(net, source, Calibration(np.zeros_like(known.pictures[:2]), known.digest), variant, path)

    monkeypatch.setattr(onnx, "write_int8", spoilt)
    return tried


def test_a_broken_calibration_is_refused_and_nothing_is_published(quick: Plan, blind: list[Variant]) -> None:
    quick.out.mkdir()
    (quick.out / "pupil_int8.onnx").write_bytes(b"an older bundle")
    with pytest.raises(BundleError, match=r"pupil_int8\.onnx: refused, nothing is published") as refusal:
        build(quick, lambda _: None)
    text = str(refusal.value)
    assert tuple(blind) == onnx.VARIANTS
    assert all(str(variant) in text for variant in onnx.VARIANTS)
    assert "mAP50-95 falls by" in text
    assert "as a fallback" in text
    assert {path.name for path in quick.out.iterdir()} == {"pupil_int8.onnx"}
    assert (quick.out / "pupil_int8.onnx").read_bytes() == b"an older bundle"


def test_a_variant_that_is_refused_gives_way_to_the_next(quick: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = onnx.write_int8

    def write(net: Network, source: Path, known: Calibration, variant: Variant, path: Path) -> None:
        pictures = np.zeros_like(known.pictures) if variant == onnx.VARIANTS[0] else known.pictures
        sound(net, source, Calibration(pictures, known.digest), variant, path)

    monkeypatch.setattr(onnx, "write_int8", write)
    monkeypatch.setattr(onnx, "VARIANTS", (Variant("min-max"), Variant("moving average")))
    *_, bundle = build(quick, lambda _: None)
    assert bundle.variant == "moving average, per channel, float: last"
    assert manifest_of(bundle.path).provenance.quantisation == bundle.variant


def test_a_float_file_is_refused_too(quick: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(network: Network, path: Path) -> None:
        import torch

        with torch.no_grad():
            for parameter in network.module.model[-1].parameters():
                parameter.zero_()
        sound(network, path)

    sound = onnx.write_float
    monkeypatch.setattr(onnx, "write_float", lose)
    with pytest.raises(BundleError, match=r"pupil_float32\.onnx: refused.*float32: mAP50-95 falls by"):
        build(quick, lambda _: None)
    assert list(quick.out.iterdir()) == []


@pytest.fixture(scope="module")
def swept(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> building.Bundle:
    """The INT8 bundle of a sweep over ONNX."""
    out = tmp_path_factory.mktemp("swept")
    *_, bundle = build(replace(plan, formats=("onnx",), out=out, sweep=True), lambda _: None)
    return bundle


def test_a_sweep_measures_every_variant_and_takes_the_best_by_map_then_time(swept: building.Bundle) -> None:
    assert [one.variant for one in swept.swept] == [str(variant) for variant in onnx.VARIANTS]
    sound = [one for one in swept.swept if not one.faults]
    best = max(one.map50_95 for one in sound)
    (taken,) = (one for one in sound if one.variant == swept.variant)
    assert taken.map50_95 == swept.metrics.map50_95
    assert taken.p50 == min(one.p50 for one in sound if one.map50_95 > best - building.EQUAL)


def test_a_sweep_is_in_the_reports(swept: building.Bundle) -> None:
    text = (swept.path.parent / "report.md").read_text()
    assert f"| {swept.variant} (taken) |" in text
    assert "## Sweep: pupil_int8.onnx" in text


def test_a_limit_is_part_of_the_plan(plan: Plan) -> None:
    assert plan.limits == LENIENT
    assert (Limits().map50_95, Limits().class_ap50) == (0.005, 0.03)


PICTURES = [
    {"a": {"min": np.float32([[low]]), "max": np.float32([[high]])}} for low, high in [(-1, 1), (-3, 2), (0, 9)]
]


def test_min_max_covers_every_picture() -> None:
    found = combined(PICTURES, "min-max")["a"]
    assert (found["min"].item(), found["max"].item()) == (-3, 9)


@pytest.mark.parametrize("method", ["percentile", "moving average"])
def test_other_ranges_leave_the_most_extreme_picture_out(method: str) -> None:
    found = combined(PICTURES, method)["a"]  # type: ignore[arg-type]
    assert -3 < found["min"].item() < 0
    assert 1 < found["max"].item() < 9


@pytest.fixture(scope="module")
def jetson(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (bundle,) = build(replace(plan, formats=("jetson",), out=tmp_path_factory.mktemp("jetson")), lambda _: None)
    return bundle.path


def test_the_jetson_s_model_is_symmetric_with_float_biases(jetson: Path) -> None:
    import onnx as onnx_package

    assert jetson.name == "pupil_int8_jetson.onnx"
    assert symmetry_faults(jetson) == []
    graph = onnx_package.load(str(jetson)).graph
    kinds = {item.name: item.data_type for item in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 10
    assert {kinds[node.input[2]] for node in convolutions} == {onnx_package.TensorProto.FLOAT}


def test_a_model_for_the_cpu_is_not_symmetric(bundles: dict[str, Path]) -> None:
    shifted, foreign = symmetry_faults(bundles["onnx-int8"])
    assert "scales are not symmetric" in shifted
    assert "another type than int8" in foreign  # its biases are int32


def test_the_jetson_s_model_scores_on_a_cpu_what_the_network_scores(jetson: Path, plan: Plan) -> None:
    manifest = manifest_of(jetson)
    assert manifest.metrics is not None
    assert manifest.metrics_float is not None
    assert abs(manifest.metrics.map50_95 - manifest.metrics_float.map50_95) <= plan.limits.map50_95


def test_every_format_has_a_first_variant() -> None:
    assert all(target.writer.VARIANTS for target in FORMATS.values())
