"""A bundle ready to count: a picture goes in, boxes in picture px come out."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from trap_contract.bundle import bundle_digest, read_manifest
from trap_contract.crew import Crew
from trap_contract.decode import DecodeSettings, Tensor, decode, decode_many
from trap_contract.detections import Detections
from trap_contract.errors import BundleError
from trap_contract.letterbox import Pixels, Placement, letterbox
from trap_contract.manifest import InputSpec, Manifest
from trap_contract.packing import Packer
from trap_contract.runtimes import Runtime, TensorInfo, open_runtime
from trap_contract.stock import stock_manifest
from trap_contract.tiling import DEFAULT_OVERLAP, cut_tile, merge_seams, tile_grid


@dataclass(frozen=True, slots=True)
class Worker:
    """A runtime and what packs its inputs; a detector has several where tiles are looked at side by side."""

    runtime: Runtime
    packer: Packer


@dataclass(frozen=True, slots=True)
class Detector:
    """A model, the manifest that explains it, and how to decode."""

    manifest: Manifest
    settings: DecodeSettings
    sha256: str
    _crew: Crew[Worker]
    _order: tuple[int, ...]
    _inputs: list[Tensor] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path, threads: int = 1, threshold: float | None = None, *, tiled: bool = False) -> Self:
        """Open a bundle of ours or a stock Ultralytics export.

        `tiled`: the threads look at one tile each, and do not share one. Raises BundleError when it is missing,
        damaged, of another schema, or not what its manifest says.
        """
        own = read_manifest(path)
        runtimes = [open_runtime(path, 1 if tiled else threads) for _ in range(threads if tiled else 1)]
        manifest = own or stock_manifest(path, runtimes[0])
        order = _agreed_order(path, manifest, runtimes[0])
        settings = DecodeSettings(manifest.threshold if threshold is None else threshold, manifest.iou)
        return cls(manifest, settings, bundle_digest(path), new_crew(manifest.input, runtimes), order)

    def with_settings(self, settings: DecodeSettings) -> "Detector":
        """The same model, decoded in another way."""
        return replace(self, settings=settings)

    @property
    def runtime(self) -> Runtime:
        """What runs the model: the first where there are several."""
        return self._crew.workers[0].runtime

    @property
    def backend(self) -> str:
        """Name of the runtime, how many threads it has, and how many work side by side if several do."""
        count = len(self._crew.workers)
        return self.runtime.description if count == 1 else f"{self.runtime.description}, {count} tiles at a time"

    def detect(self, picture: Pixels) -> Detections:
        """Boxes of one BGR picture (H, W, 3), best first, in its px."""
        spec, worker = self.manifest.input, self._crew.workers[0]
        canvas, placement = letterbox(picture, spec.width, spec.height, spec.letterbox_fill)
        outputs = self._in_order(worker.runtime.run(worker.packer.pack(canvas)))
        found = decode(outputs, self.manifest.head, spec, self.settings)
        return Detections(placement.undo(found.boxes), found.scores, found.classes)

    def detect_many(self, pictures: Sequence[Pixels]) -> list[Detections]:
        """Boxes of each picture, in its px; side by side if the detector was loaded for tiles.

        Everything is packed before the model runs, and decoded after it, at once: between two runs of a model the
        caches hold nothing else, and threads would wait for the interpreter's lock.
        """
        if not pictures:
            return []
        self._inputs.extend(self._crew.workers[0].packer.empty() for _ in range(len(pictures) - len(self._inputs)))
        placements = self._crew.map(self._pack, list(zip(pictures, self._inputs, strict=False)))
        outputs = self._crew.map(self._run, self._inputs[: len(pictures)])
        found, numbers = decode_many(outputs, self.manifest.head, self.manifest.input, self.settings)
        bounds = np.searchsorted(numbers, np.arange(len(pictures) + 1))
        parts = [found.take(slice(first, last)) for first, last in itertools.pairwise(bounds)]
        return [
            replace(part, boxes=placement.undo(part.boxes)) for part, placement in zip(parts, placements, strict=True)
        ]

    def detect_tiled(self, picture: Pixels, size: int, overlap: int = DEFAULT_OVERLAP) -> Detections:
        """Boxes of a board larger than the model's input, seen in square tiles of `size` px, each insect once."""
        height, width = picture.shape[:2]
        grid = tile_grid(width, height, size, overlap)
        found = self.detect_many([cut_tile(picture, tile) for tile in grid])
        return merge_seams(list(zip(grid, found, strict=True)), width, height)

    def infer(self, tensor: Tensor) -> Sequence[Tensor]:
        """Raw outputs in the manifest's order."""
        return self._in_order(self.runtime.run(tensor))

    def _pack(self, worker: Worker, item: tuple[Pixels, Tensor]) -> Placement:
        spec, (picture, tensor) = self.manifest.input, item
        canvas, placement = letterbox(picture, spec.width, spec.height, spec.letterbox_fill)
        worker.packer.pack(canvas, tensor)
        return placement

    def _run(self, worker: Worker, tensor: Tensor) -> list[Tensor]:
        return self._in_order(worker.runtime.run(tensor))

    def _in_order(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        return [outputs[place] for place in self._order]


def new_crew(spec: InputSpec, runtimes: Sequence[Runtime]) -> Crew[Worker]:
    """Runtimes of one model, each with what packs its inputs."""
    return Crew([Worker(runtime, Packer(spec)) for runtime in runtimes])


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
