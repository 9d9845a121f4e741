"""Write rendered trap pictures as a YOLO data set."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from trap_contract.dataset import Labels, write_description, write_labels
from trap_contract.pictures import write_picture
from trap_scene import CLASSES, Picture, render_picture


def render_dataset(out: Path, pictures: dict[str, int], size: int, seed: int, jobs: int) -> Iterator[Path]:
    """Render so many pictures of each split, yielding each file; the same arguments give the same pictures.

    Every picture has a seed of its own, so `jobs` does not matter and splits never share one.
    """
    tasks = [(split, number) for split, count in pictures.items() for number in range(count)]
    for split in pictures:
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(_render_one, out, size, seed), tasks, chunksize=8)
    write_description(out, CLASSES, tuple(pictures))


def labels_of(picture: Picture) -> Labels:
    """The truth of a rendered picture as YOLO labels."""
    height, width = picture.pixels.shape[:2]
    corners = np.array([insect.box for insect in picture.truth], np.float64).reshape(-1, 4)
    return Labels.from_corners(np.array([insect.label for insect in picture.truth], np.int64), corners, width, height)


def _render_one(out: Path, size: int, seed: int, task: tuple[str, int]) -> Path:
    split, number = task
    rng = np.random.default_rng([seed, _split_key(split), number])
    picture = render_picture(rng, size, size)
    file = out / "images" / split / f"{number:06d}.png"
    write_picture(file, picture.pixels)
    write_labels(file, labels_of(picture))
    return file


def _split_key(split: str) -> int:
    return int.from_bytes(split.encode())
