"""Stored augmentations: every picture's views for each epoch, and a teacher's answer to them, read memory-mapped.

A live teacher costs a forward pass a step; stored, it is asked once for all arms and seeds that see the same views
(the idea of fast knowledge distillation, arXiv 2112.01528). Views are made by Ultralytics' own augmentation.
"""

import contextlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset
from trap_contract.errors import StoreError
from ultralytics.data.dataset import YOLODataset

from trap_training.taps import Taps

_TEACHER_BATCH = 32


@dataclass(frozen=True, slots=True)
class ViewStore:
    """A folder with `epochs` views of each of `count` pictures.

    pixels: (epochs * count, 3, height, width) uint8, RGB. Boxes are rows (class, centre x, centre y, width, height),
    those of view v from starts[v] to starts[v + 1].
    """

    folder: Path
    count: int
    epochs: int
    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    boxes: NDArray[np.float32]

    def __len__(self) -> int:
        return self.count * self.epochs

    @classmethod
    def opened(cls, folder: Path, base: YOLODataset, hyp: Any, epochs: int, seed: int) -> "ViewStore":
        """The store in `folder`, made first when it isn't there; mosaics end `hyp.close_mosaic` epochs before the end.

        Raises StoreError when the disk has no room for it.
        """
        if not (folder / "boxes.npz").exists():
            _make_views(folder, base, hyp, epochs, seed)
        stored = np.load(folder / "boxes.npz")
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        return cls(folder, len(base), epochs, pixels, stored["starts"], stored["boxes"])

    def sample(self, view: int) -> dict[str, Any]:
        """One view as Ultralytics' collate function takes it, with its own number."""
        rows = torch.from_numpy(self.boxes[self.starts[view] : self.starts[view + 1]])
        pixels = torch.from_numpy(np.array(self.pixels[view]))
        labels = {"cls": rows[:, :1], "bboxes": rows[:, 1:], "batch_idx": torch.zeros(len(rows))}
        return {"img": pixels, **labels, "im_file": f"view {view}", "view": view}


class ViewDataset(Dataset):  # type: ignore[misc]
    """The views of one epoch, which the trainer sets; augmentation is past."""

    def __init__(self, base: YOLODataset, store: ViewStore) -> None:
        self.store = store
        self.labels = base.labels
        self.epoch = 0
        self.collate_fn = YOLODataset.collate_fn

    def __len__(self) -> int:
        return self.store.count

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.store.sample((self.epoch % self.store.epochs) * self.store.count + place)


@dataclass(frozen=True, slots=True)
class StoredTeacher:
    """A teacher's raw outputs for every view, in half precision."""

    arrays: dict[str, NDArray[np.float16]]

    @classmethod
    def opened(cls, folder: Path, store: ViewStore, teacher: nn.Module, device: torch.device, *, maps: bool) -> Any:
        """The answers in `folder`, asked for first when they aren't there; with the neck's maps when they are needed.

        Raises StoreError when the disk has no room for them.
        """
        done = folder / "answers.json"
        if not done.exists() or (maps and not json.loads(done.read_text())["maps"]):
            shutil.rmtree(folder, ignore_errors=True)
            _ask(folder, store, teacher, device, maps=maps)
            done.write_text(json.dumps({"maps": maps}))
        return cls({file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))})

    def taps(self, views: list[int], device: torch.device) -> Taps:
        """The answers to these views; without maps where none were stored."""
        rows = {name: torch.from_numpy(array[views]).to(device).float() for name, array in self.arrays.items()}
        maps = tuple(rows[name] for name in sorted(rows) if name.startswith("map"))
        return Taps(rows["cls_logits"], rows["box_logits"], maps)


def _make_views(folder: Path, base: YOLODataset, hyp: Any, epochs: int, seed: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows: list[NDArray[np.float32]] = []
    numbers = range(epochs * len(base))
    with _randomness_kept():
        _seed(seed, 0)
        shape = tuple(base[0]["img"].shape)
        pixels = allocated(folder / "pixels.npy", (epochs * len(base), *shape), np.dtype(np.uint8))
        for number in track(numbers, "storing views", console=Console(stderr=True)):
            epoch, place = divmod(number, len(base))
            if place == 0 and epoch == max(0, epochs - hyp.close_mosaic):
                base.close_mosaic(copy(hyp))
            _seed(seed, number)
            sample = base[place]
            pixels[number] = sample["img"].numpy()
            rows.append(torch.cat([sample["cls"], sample["bboxes"]], 1).numpy().astype(np.float32))
    pixels.flush()
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    np.savez(folder / "boxes.part.npz", starts=starts, boxes=np.concatenate(rows))
    (folder / "boxes.part.npz").rename(folder / "boxes.npz")


def _ask(folder: Path, store: ViewStore, teacher: nn.Module, device: torch.device, *, maps: bool) -> None:
    folder.mkdir(parents=True)
    arrays: dict[str, np.memmap[Any, np.dtype[Any]]] = {}
    starts = range(0, len(store), _TEACHER_BATCH)
    teacher.eval()
    for start in track(starts, "asking the teacher", console=Console(stderr=True)):
        pixels = torch.from_numpy(np.array(store.pixels[start : start + _TEACHER_BATCH])).to(device).float() / 255
        with torch.no_grad():
            answers = _named(Taps.of(teacher(pixels)), maps=maps)
        for name, answer in answers.items():
            if name not in arrays:
                shape = (len(store), *answer.shape[1:])
                arrays[name] = allocated(folder / f"{name}.npy", shape, np.dtype(np.float16))
            arrays[name][start : start + len(answer)] = answer.half().cpu().numpy()
    for array in arrays.values():
        array.flush()


def _named(taps: Taps, *, maps: bool) -> dict[str, Tensor]:
    levels = {f"map{place}": tap for place, tap in enumerate(taps.maps)} if maps else {}
    return {"cls_logits": taps.cls_logits, "box_logits": taps.box_logits, **levels}


def allocated(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "np.memmap[Any, np.dtype[Any]]":
    """A memory-mapped array in a new .npy file whose room on the disk is taken at once.

    Raises StoreError when there is none: a sparse file would end the process later, by a bus error.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        array = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
        with file.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, array.offset + size)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise StoreError(
            f"{file}: no room for {size / 1e9:.1f} GB of stored views ({error.strerror}): free some, or set views: 0"
        ) from error
    return array


@contextlib.contextmanager
def _randomness_kept() -> Iterator[None]:
    """Leave the three global generators as they were: Ultralytics' augmentation draws from all of them."""
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])


def _seed(seed: int, number: int) -> None:
    mixed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)
