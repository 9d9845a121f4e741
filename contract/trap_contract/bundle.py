"""Put a manifest into a model file, and read it back, for the three formats.

TFLite: zip member metadata.json behind the model. ONNX: metadata_props. OpenVINO: rt_info of the XML.
A stock Ultralytics export of the same formats is read too, as plain properties.
"""

import ast
import hashlib
import io
import json
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from trap_contract.errors import BundleError
from trap_contract.manifest import Manifest, parse_manifest
from trap_contract.onnx_metadata import read_properties, with_property

Format = Literal["tflite", "onnx", "openvino"]
_MEMBER = "metadata.json"
_KEY = "zancudo"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time keeps the same bundle the same bytes


def bundle_format(path: Path) -> Format:
    """Which of the three formats a path is.

    Raises BundleError when it is missing or none of them.
    """
    if not path.exists():
        raise BundleError(f"{path}: no such model; give a .tflite or .onnx file or a folder with an OpenVINO .xml")
    if path.is_dir():
        openvino_xml(path)
        return "openvino"
    kinds: dict[str, Format] = {".tflite": "tflite", ".onnx": "onnx"}
    if path.suffix not in kinds:
        raise BundleError(f"{path}: not a model this program runs (.tflite, .onnx or an OpenVINO folder)")
    return kinds[path.suffix]


def openvino_xml(folder: Path) -> Path:
    """The one .xml of an OpenVINO folder, its .bin beside it.

    Raises BundleError when there is none, more than one, or no weights.
    """
    found = sorted(folder.glob("*.xml"))
    if len(found) != 1 or not found[0].with_suffix(".bin").exists():
        raise BundleError(
            f"{folder}: an OpenVINO model is a folder with one .xml and its .bin; found {len(found)} .xml"
        )
    return found[0]


def bundle_digest(path: Path) -> str:
    """SHA-256, hex, of a bundle's file; of an OpenVINO folder, of its .xml and .bin in this order."""
    xml = openvino_xml(path) if path.is_dir() else None
    digest = hashlib.sha256()
    for file in (xml, xml.with_suffix(".bin")) if xml else (path,):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def embed_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest into a model file or folder, in place of an earlier one.

    Raises BundleError when the model is missing, damaged, or not of the manifest's format.
    """
    if manifest.format != bundle_format(path):
        raise BundleError(f"{path}: the manifest says {manifest.format}, the file is {bundle_format(path)}")
    if manifest.format == "tflite":
        path.write_bytes(_with_member(_tflite_bytes(path), manifest.to_json()))
    elif manifest.format == "onnx":
        _onnx_properties(path)  # refuses what is not ONNX
        path.write_bytes(with_property(path.read_bytes(), _KEY, manifest.to_json()))
    else:
        _embed_in_xml(openvino_xml(path), manifest.to_json())


def read_manifest(path: Path) -> Manifest | None:
    """The manifest inside a bundle, or None when the model is not one of ours.

    Raises BundleError for a missing or corrupt file, or another schema version.
    """
    text = _own_text(path, bundle_format(path))
    return None if text is None else parse_manifest(text, str(path))


def read_stock_properties(path: Path) -> Mapping[str, Any]:
    """What a stock Ultralytics export says about itself: names, imgsz, stride, task, end2end.

    Raises BundleError when the model carries no such metadata.
    """
    kind = bundle_format(path)
    if kind == "tflite":
        found = _stock_json(path)
    elif kind == "onnx":
        found = {key: _literal(value) for key, value in _onnx_properties(path).items()}
    else:
        found = _stock_yaml(path)
    if not isinstance(found, dict) or "names" not in found or "imgsz" not in found:
        raise BundleError(
            f"{path}: no manifest and no Ultralytics metadata inside, so its classes are unknown: "
            "export the model with trap-export or Ultralytics"
        )
    return found


def _own_text(path: Path, kind: Format) -> str | bytes | None:
    if kind == "tflite":
        member = _member(path)
        is_ours = member is not None and b'"zancudo.bundle"' in member
        return member if is_ours else None
    if kind == "onnx":
        return _onnx_properties(path).get(_KEY)
    node = _xml_root(openvino_xml(path)).find(f"./rt_info/{_KEY}")
    return None if node is None else node.get("value")


def _tflite_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise BundleError(f"{path}: not a TFLite model (damaged, or another kind of file): copy it again")
    return data


def _member(path: Path) -> bytes | None:
    """The embedded text, or None when the model carries none."""
    data = _tflite_bytes(path)
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(_MEMBER)
    except KeyError:
        return None
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path}: its embedded metadata is damaged ({error}): copy it again") from error


def _with_member(data: bytes, text: str) -> bytes:
    out = io.BytesIO(data[: _model_size(data)])
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(_MEMBER, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _model_size(data: bytes) -> int:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return min((entry.header_offset for entry in archive.infolist()), default=len(data))
    except zipfile.BadZipFile:
        return len(data)


def _onnx_properties(path: Path) -> dict[str, str]:
    try:
        properties = read_properties(path.read_bytes())
    except ValueError as error:
        raise BundleError(f"{path}: not an ONNX model (damaged, or another kind of file): {error}") from error
    return properties


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _stock_json(path: Path) -> Any:
    try:
        return json.loads(_member(path) or "{}")
    except ValueError as error:
        raise BundleError(f"{path}: its {_MEMBER} is not JSON ({error}): export the model again") from error


def _stock_yaml(folder: Path) -> Any:
    import yaml

    file = folder / "metadata.yaml"
    try:
        return yaml.safe_load(file.read_text()) if file.exists() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BundleError(f"{file}: not YAML ({error}): export the model again") from error


def _xml_root(xml: Path) -> ET.Element:
    try:
        return ET.fromstring(xml.read_bytes())  # noqa: S314 - expat itself refuses entity bombs since 2.4
    except ET.ParseError as error:
        raise BundleError(f"{xml}: not an OpenVINO model: {error}") from error


def _embed_in_xml(xml: Path, text: str) -> None:
    root = _xml_root(xml)
    info = root.find("rt_info")
    if info is None:
        info = ET.SubElement(root, "rt_info")
    for old in info.findall(_KEY):
        info.remove(old)
    ET.SubElement(info, _KEY, value=text)
    xml.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
