"""A bundle ready to count: a picture goes in, boxes in picture px come out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from trap_contract.bundle import bundle_digest, read_manifest
from trap_contract.decode import DecodeSettings, Tensor, decode
from trap_contract.detections import Detections
from trap_contract.errors import BundleError
from trap_contract.letterbox import Pixels, letterbox
from trap_contract.manifest import InputSpec, Manifest
from trap_contract.runtimes import Runtime, TensorInfo, open_runtime
from trap_contract.stock import stock_manifest
from trap_contract.tiling import DEFAULT_OVERLAP, cut_tile, merge_seams, tile_grid


@dataclass(frozen=True, slots=True)
class Detector:
    """A runtime, the manifest that explains it, and how to decode."""

    manifest: Manifest
    runtime: Runtime
    settings: DecodeSettings
    sha256: str
    _table: Tensor
    _order: tuple[int, ...]

    @classmethod
    def load(cls, path: Path, threads: int = 1, threshold: float | None = None) -> Self:
        """Open a bundle of ours or a stock Ultralytics export.

        Raises BundleError when it is missing, damaged, of another schema, or not what its manifest says.
        """
        own = read_manifest(path)
        runtime = open_runtime(path, threads)
        manifest = own or stock_manifest(path, runtime)
        order = _agreed_order(path, manifest, runtime)
        settings = DecodeSettings(manifest.threshold if threshold is None else threshold, manifest.iou)
        return cls(manifest, runtime, settings, bundle_digest(path), pixel_table(manifest.input), order)

    def with_settings(self, settings: DecodeSettings) -> "Detector":
        """The same model, decoded in another way."""
        return replace(self, settings=settings)

    def detect(self, picture: Pixels) -> Detections:
        """Boxes of one BGR picture (H, W, 3), best first, in its px."""
        spec = self.manifest.input
        canvas, placement = letterbox(picture, spec.width, spec.height, spec.letterbox_fill)
        found = decode(self.infer(pack(canvas, spec, self._table)), self.manifest.head, spec, self.settings)
        return Detections(placement.undo(found.boxes), found.scores, found.classes)

    def detect_tiled(self, picture: Pixels, size: int, overlap: int = DEFAULT_OVERLAP) -> Detections:
        """Boxes of a board larger than the model's input, seen in square tiles of `size` px, each insect once."""
        height, width = picture.shape[:2]
        parts = [(tile, self.detect(cut_tile(picture, tile))) for tile in tile_grid(width, height, size, overlap)]
        return merge_seams(parts, width, height)

    def infer(self, tensor: Tensor) -> Sequence[Tensor]:
        """Raw outputs in the manifest's order."""
        outputs = self.runtime.run(tensor)
        return [outputs[place] for place in self._order]


def pixel_table(spec: InputSpec) -> Tensor:
    """What each of the 256 pixel values becomes in the input tensor."""
    real = np.arange(256, dtype=np.float32) / np.float32(255)
    if spec.quantisation is None:
        return real
    kind = np.int8 if spec.dtype == "int8" else np.uint8
    limits = np.iinfo(kind)
    steps = np.rint(real / np.float32(spec.quantisation.scale)) + spec.quantisation.zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), kind)


def pack(canvas: Pixels, spec: InputSpec, table: Tensor) -> Tensor:
    """A letterboxed BGR picture as the model's input tensor."""
    values = cv2.LUT(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB), table)
    tensor = values if spec.layout == "NHWC" else values.transpose(2, 0, 1)
    return np.ascontiguousarray(tensor[None], dtype=spec.dtype)


def _agreed_order(path: Path, manifest: Manifest, runtime: Runtime) -> tuple[int, ...]:
    _check_input(path, manifest.input, runtime.input)
    places = {info.name: place for place, info in enumerate(runtime.outputs)}
    order = []
    for output in manifest.head.outputs:
        if output.name not in places:
            raise BundleError(f"{path}: the manifest names output {output.name!r}, the model has {sorted(places)}")
        order.append(places[output.name])
        if runtime.outputs[order[-1]].quantisation != output.quantisation:
            raise BundleError(f"{path}: manifest and model disagree on the scale of output {output.name!r}")
    return tuple(order)


def _check_input(path: Path, spec: InputSpec, tensor: TensorInfo) -> None:
    if (spec.shape, spec.dtype, spec.quantisation) != (tensor.shape, tensor.dtype, tensor.quantisation):
        raise BundleError(
            f"{path}: the manifest expects input {spec.shape} {spec.dtype}, the model has {tensor.shape} {tensor.dtype}"
        )
