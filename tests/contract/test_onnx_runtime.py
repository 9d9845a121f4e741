"""Which provider runs an ONNX model, and with what options."""

from pathlib import Path

import pytest
from trap_contract.bundle import embed_manifest
from trap_contract.runtimes import open_runtime
from trap_contract.runtimes.onnx import overflows, providers

from contract.graphs import make_manifest, write_onnx

EVERY = ["CPUExecutionProvider", "AzureExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]


def bundle(folder: Path, precision: str) -> Path:
    file = write_onnx(folder / "m.onnx")
    embed_manifest(file, make_manifest("onnx", precision=precision))
    return file


def test_tensorrt_is_asked_for_before_cuda_before_the_cpu_and_nothing_else(tmp_path: Path) -> None:
    names = [name for name, _ in providers(EVERY, bundle(tmp_path, "float32"))]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def test_only_what_is_installed_is_asked_for(tmp_path: Path) -> None:
    assert providers(EVERY[:2], bundle(tmp_path, "int8")) == [("CPUExecutionProvider", {})]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_tensorrt_computes_int8_only_in_a_model_that_says_so(tmp_path: Path, precision: str) -> None:
    (_, options), *_ = providers(EVERY, bundle(tmp_path, precision))
    assert options["trt_fp16_enable"]
    assert options["trt_int8_enable"] is (precision == "int8")
    assert options["trt_engine_cache_path"] == str(tmp_path)


def test_the_runtime_says_which_provider_it_got(tmp_path: Path) -> None:
    assert open_runtime(bundle(tmp_path, "float32"), 1).description == "onnx-cpu, 1 threads"


@pytest.mark.parametrize(
    ("cpuinfo", "is_narrow"),
    [
        ("flags\t\t: fpu sse2 avx2", True),
        ("flags\t\t: fpu sse2 avx2 avx512_vnni", False),
        ("flags\t\t: fpu sse2 avx2 avx_vnni", False),
        ("Features\t: fp asimd asimddp", False),
        ("", False),
    ],
)
def test_only_an_x86_without_vnni_must_be_told_to_widen_its_products(cpuinfo: str, is_narrow: bool) -> None:
    assert overflows(cpuinfo) is is_narrow
