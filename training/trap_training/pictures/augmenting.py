"""Make varied copies of train pictures: other poses, light and grain, with the boxes that follow.

Turning and shearing loosen boxes: a label becomes the box around the turned box, which is larger than the box around
the turned insect, by up to the square root of two a side at 45 degrees. Flips and quarter turns are exact.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import DataSet, Labels, check_stems, read_labels, write_labels
from trap_contract.pictures import read_picture, write_picture

from trap_training.pictures.splitting import write_splits
from trap_training.pictures.tiling import visible_labels

TURN_DEGREES = 45.0
SHEAR_DEGREES = 10.0
SATURATION = 0.25
BRIGHTNESS = 0.15
EXPOSURE = 0.10
"""Applied as gamma: 0.9 to 1.1."""
BLUR_PX = 1.2
NOISY_PIXELS = 0.0343
"""Up to this share of the pixels becomes black or white."""

_BLUR_KERNEL = 7  # px: three deviations to either side


def augment_dataset(data: DataSet, out: Path, variants: int, seed: int, jobs: int) -> Iterator[Path]:
    """Write so many variants of every train picture, then a copy of every picture of every split, yielding each.

    A variant's seed comes from its picture's name, so `jobs` does not matter, nor which other pictures there are.
    Raises DataError, before anything is written, when there is no train split or two pictures have the same name.
    """
    train, folder = data.pictures("train"), out / "images" / "train"
    tasks = [(picture, number) for picture in train for number in range(1, variants + 1)]
    check_stems([*train, *(_target(folder, *task) for task in tasks)])
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs, initializer=_use_one_thread) as pool:
        yield from pool.map(partial(_augment_one, folder, seed), tasks, chunksize=8)
    yield from write_splits({split: data.pictures(split) for split in data.splits}, data.names, out)


def vary(pixels: NDArray[np.uint8], labels: Labels, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Labels]:
    """One variant of (H, W, 3) BGR pixels and its labels; boxes that are mostly turned out of the picture are left out.

    A quarter turn exchanges height and width; corners that a turn uncovers take the picture's mean colour.
    """
    import torch
    from torchvision import tv_tensors

    height, width = pixels.shape[:2]
    torch.manual_seed(int(rng.integers(2**63)))
    image = tv_tensors.Image(torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1))
    # Unclamped, or nothing could tell how much of a box is still to be seen.
    corners = torch.from_numpy(labels.corners(width, height))
    boxes = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width), clamping_mode=None)
    fill = [float(channel) for channel in pixels.mean((0, 1))[::-1]]
    image, boxes = _changes(fill, 1 + rng.uniform(-EXPOSURE, EXPOSURE))(image, boxes)
    varied = np.ascontiguousarray(image.permute(1, 2, 0).numpy()[..., ::-1])
    noisy = rng.random(varied.shape[:2]) < rng.uniform(0, NOISY_PIXELS)
    varied[noisy] = 255 * rng.integers(2, size=(int(noisy.sum()), 1), dtype=np.uint8)
    return varied, visible_labels(labels.classes, boxes.numpy(), varied.shape[1], varied.shape[0])


def _changes(fill: list[float], gamma: float) -> Any:
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    shear = (-SHEAR_DEGREES, SHEAR_DEGREES) * 2
    quarters = [v2.RandomRotation((turn, turn), expand=True) for turn in (0, 90, 180, 270)]
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomChoice(quarters),
            v2.RandomAffine(TURN_DEGREES, shear=shear, interpolation=v2.InterpolationMode.BILINEAR, fill=fill),
            v2.ColorJitter(brightness=BRIGHTNESS, saturation=SATURATION),
            v2.Lambda(partial(v2.functional.adjust_gamma, gamma=gamma), tv_tensors.Image),
            v2.GaussianBlur(_BLUR_KERNEL, (0.1, BLUR_PX)),
        ]
    )


def _augment_one(folder: Path, seed: int, task: tuple[Path, int]) -> Path:
    picture, number = task
    rng = np.random.default_rng([seed, number, *picture.stem.encode()])
    pixels, labels = vary(read_picture(picture), read_labels(picture), rng)
    target = _target(folder, picture, number)
    write_picture(target, pixels)
    write_labels(target, labels)
    return target


def _target(folder: Path, picture: Path, number: int) -> Path:
    return folder / f"{picture.stem}_v{number}.png"


def _use_one_thread() -> None:
    """Torch's threads do not survive a fork, and the processes already fill the machine."""
    import torch

    torch.set_num_threads(1)
