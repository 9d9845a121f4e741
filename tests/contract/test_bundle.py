"""Manifests inside real TFLite, ONNX and OpenVINO models, and every way in which such a file can be wrong."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trap_contract.bundle import bundle_digest, bundle_format, embed_manifest, read_manifest, read_stock_properties
from trap_contract.detector import Detector
from trap_contract.errors import BundleError
from trap_contract.manifest import parse_manifest
from trap_contract.runtimes import open_runtime

from contract.graphs import STOCK, make_manifest, write_onnx, write_openvino

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "yolov8n_kd.tflite"
FORMATS = ("tflite", "onnx", "openvino")
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A real model of each format, without a manifest of ours."""
    folder = tmp_path_factory.mktemp("models")
    data = SHIPPED.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = min(entry.header_offset for entry in archive.infolist())
    (folder / "plain.tflite").write_bytes(data[:size])
    return {
        "tflite": folder / "plain.tflite",
        "onnx": write_onnx(folder / "plain.onnx"),
        "openvino": write_openvino(folder / "plain_openvino"),
    }


@pytest.fixture
def make(originals: dict[str, Path], tmp_path: Path) -> Make:
    """Makes a copy of the plain model of a format."""

    def copy(kind: str) -> Path:
        source = originals[kind]
        target = tmp_path / source.name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        return target

    return copy


def content(path: Path) -> bytes:
    """All bytes of a bundle."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return b"".join(file.read_bytes() for file in files)


def main_file(path: Path) -> Path:
    return path / "model.xml" if path.is_dir() else path


def add_member(path: Path, name: str, text: str) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, text)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_embedded_is_read_back(make: Make, kind: str) -> None:
    path = make(kind)
    assert read_manifest(path) is None
    manifest = make_manifest(kind, id='<&">\n é 蚊')
    embed_manifest(path, manifest)
    assert read_manifest(path) == manifest


@pytest.mark.parametrize("kind", FORMATS)
def test_a_manifest_embedded_twice_is_there_once(make: Make, kind: str) -> None:
    path, once = make(kind), make_manifest(kind, threshold=0.25)
    embed_manifest(path, once)
    expected = content(path)
    embed_manifest(path, make_manifest(kind, id="an earlier one"))
    embed_manifest(path, once)
    assert content(path) == expected
    assert expected.count(b"an earlier one") == 0


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_manifest_makes_the_same_bytes(
    make: Make, originals: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    path = make(kind)
    other = tmp_path / "elsewhere" / path.name
    other.parent.mkdir()
    path.rename(other)
    path = make(kind)
    for bundle in (path, other):
        embed_manifest(bundle, make_manifest(kind))
    assert content(path) == content(other)
    assert bundle_digest(path) == bundle_digest(other) != bundle_digest(originals[kind])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_runtime_still_opens_the_model_and_gets_the_same_answers(
    make: Make, originals: dict[str, Path], kind: str
) -> None:
    path = make(kind)
    embed_manifest(path, make_manifest(kind))
    before, after = open_runtime(originals[kind], 1), open_runtime(path, 1)
    tensor = np.random.default_rng(0).integers(0, 127, before.input.shape).astype(before.input.dtype)
    for one, other in zip(before.run(tensor), after.run(tensor), strict=True):
        assert np.array_equal(one, other)


def test_an_onnx_bundle_satisfies_the_onnx_checker(make: Make) -> None:
    path = make("onnx")
    embed_manifest(path, make_manifest("onnx"))
    onnx.checker.check_model(str(path))


def test_a_tflite_bundle_is_a_zip_that_other_tools_list(make: Make) -> None:
    path = make("tflite")
    embed_manifest(path, make_manifest("tflite"))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("metadata.json"))["kind"] == "zancudo.bundle"


@pytest.mark.parametrize("kind", FORMATS)
def test_another_schema_version_is_refused_and_both_versions_named(make: Make, kind: str) -> None:
    path = make(kind)
    newer = make_manifest(kind).model_copy(update={"schema_version": 7, "format": kind})
    embed_manifest(path, newer)
    with pytest.raises(BundleError, match="schema version 7, but this program reads 1") as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_a_manifest_of_the_future_with_more_fields_of_this_version_is_read() -> None:
    newer = json.loads(make_manifest("onnx").to_json())
    newer["input"]["colour"] = "RGB"
    newer["signature"] = "later"
    assert parse_manifest(json.dumps(newer), "x.onnx") == make_manifest("onnx")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"classes": []}, "classes"),
        ({"threshold": 1.5}, "threshold"),
        ({"input": {"name": "images"}}, "input"),
        ({"head": {"kind": "whole"}}, "head"),
        ({"kind": "other.bundle"}, "kind"),
    ],
)
def test_a_manifest_that_is_wrong_names_file_and_field(change: dict[str, Any], place: str) -> None:
    text = json.dumps(json.loads(make_manifest("onnx").to_json()) | change)
    with pytest.raises(BundleError, match=f"x.onnx: manifest is wrong at {place}"):
        parse_manifest(text, "x.onnx")


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_arbitrary_text_is_never_a_manifest(text: bytes | str) -> None:
    with pytest.raises(BundleError, match=r"^there: "):
        parse_manifest(text, "there")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_manifest_of_another_format_is_not_embedded(make: Make, kind: str) -> None:
    path, other = make(kind), "onnx" if kind != "onnx" else "tflite"
    before = content(path)
    with pytest.raises(BundleError, match=f"the manifest says {other}, the file is {kind}"):
        embed_manifest(path, make_manifest(other))
    assert content(path) == before


@pytest.mark.parametrize("name", ["gone.tflite", "gone.onnx", "gone_openvino"])
def test_a_missing_model_is_named(tmp_path: Path, name: str) -> None:
    for read in (read_manifest, bundle_format):
        with pytest.raises(BundleError, match=rf"{name}: no such model"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["model.pt", "model", "model.tflite.txt"])
def test_a_foreign_kind_of_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BundleError, match=rf"{name}: not a model this program runs"):
        bundle_format(tmp_path / name)


@pytest.mark.parametrize(
    "files", [[], ["a.xml"], ["a.bin"], ["a.xml", "a.bin", "b.xml", "b.bin"], ["a.xml", "b.bin"]], ids=str
)
def test_a_folder_that_is_not_one_openvino_model_is_named(tmp_path: Path, files: list[str]) -> None:
    for file in files:
        (tmp_path / file).write_bytes(b"<net/>")
    with pytest.raises(BundleError, match=f"{tmp_path}: an OpenVINO model is a folder with one .xml and its .bin"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, b"\x00" * 64, b"<html>not found</html>" * 9], ids=len)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_is_no_model_is_refused_and_named(make: Make, kind: str, damage: bytes) -> None:
    path = make(kind)
    main_file(path).write_bytes(damage)
    with pytest.raises(BundleError, match=path.stem):
        Detector.load(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_is_no_model_takes_no_manifest(make: Make, kind: str) -> None:
    path = make(kind)
    main_file(path).write_bytes(b"<html>not found</html>" * 9 if kind != "openvino" else b"not found")
    before = content(path)
    with pytest.raises(BundleError, match=path.stem):
        embed_manifest(path, make_manifest(kind))
    assert content(path) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_model_is_refused_and_named(make: Make, kind: str) -> None:
    path = make(kind)
    embed_manifest(path, make_manifest(kind))
    file = main_file(path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BundleError, match=path.stem):
        Detector.load(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(1, 2000), byte=st.integers(0, 255))
def test_a_damaged_tail_of_a_tflite_file_is_survived(make: Make, tmp_path: Path, place: int, byte: int) -> None:
    whole = tmp_path / "whole.tflite"
    if not whole.exists():
        whole.write_bytes(b"\x00\x00\x00\x00TFL3" + b"\x00" * 500)
        embed_manifest(whole, make_manifest("tflite"))
    data = bytearray(whole.read_bytes())
    data[-1 - place % (len(data) - 8)] = byte
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(data)
    try:
        read_manifest(damaged)
        read_stock_properties(damaged)
    except BundleError as error:
        assert "damaged.tflite" in str(error)  # noqa: PT017 - both outcomes are right


def test_stock_properties_of_every_format_are_read(make: Make, tmp_path: Path) -> None:
    tflite, openvino = make("tflite"), make("openvino")
    add_member(tflite, "metadata.json", json.dumps({"names": {"0": "red"}, "imgsz": [32, 32]}))
    (openvino / "metadata.yaml").write_text("names: {0: red}\nimgsz: [32, 32]\n")
    onnx_file = write_onnx(tmp_path / "stock.onnx", STOCK | {"description": "it's [not] a literal"})
    assert read_stock_properties(tflite) == {"names": {"0": "red"}, "imgsz": [32, 32]}
    assert read_stock_properties(openvino) == {"names": {0: "red"}, "imgsz": [32, 32]}
    found = read_stock_properties(onnx_file)
    assert found["names"] == {0: "red", 1: "green", 2: "blue"}
    assert found["description"] == "it's [not] a literal"


def test_a_model_without_any_metadata_says_how_to_get_one(make: Make) -> None:
    for kind in FORMATS:
        with pytest.raises(BundleError, match="no manifest and no Ultralytics metadata inside"):
            read_stock_properties(make(kind))


@pytest.mark.parametrize("text", ["{", "[1]", "null", "7"])
def test_stock_metadata_that_is_no_mapping_is_refused(make: Make, text: str) -> None:
    tflite, openvino = make("tflite"), make("openvino")
    add_member(tflite, "metadata.json", text)
    (openvino / "metadata.yaml").write_text(text)
    for path in (tflite, openvino):
        with pytest.raises(BundleError, match=path.name):
            read_stock_properties(path)


def test_a_zip_without_members_is_no_obstacle(make: Make) -> None:
    path = make("tflite")
    with zipfile.ZipFile(path, "a"):
        pass
    embed_manifest(path, make_manifest("tflite"))
    assert read_manifest(path) == make_manifest("tflite")


def test_the_digest_is_that_of_the_file_and_of_xml_then_bin(make: Make) -> None:
    file, folder = make("onnx"), make("openvino")
    (folder / "metadata.yaml").write_text("not: the model\n")
    assert bundle_digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    both = (folder / "model.xml").read_bytes() + (folder / "model.bin").read_bytes()
    assert bundle_digest(folder) == hashlib.sha256(both).hexdigest()
