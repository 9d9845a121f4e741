"""The smallest network with everything that export must handle, and a way to train it in seconds.

It has a C2f, an SPPF, an upsampling path and a DFL head on two strides. Ultralytics' own loss teaches it, without the
trainer around it: start-up, plots and validation would take far longer than the learning.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from discs import CLASSES
from trap_contract.dataset import DataSet, read_labels
from trap_contract.letterbox import letterbox

SIDE = 64
NETWORK = """
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [32, 3, 2]]
  - [-1, 1, Conv, [48, 3, 2]]
  - [-1, 1, C2f, [48, True]]
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, SPPF, [64, 5]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 3], 1, Concat, [1]]
  - [-1, 1, C2f, [48]]
  - [[8, 5], 1, Detect, [nc]]
"""
_STEPS, _BATCH, _RATE = 300, 12, 0.01


def write_network(folder: Path) -> Path:
    """The network as an Ultralytics model YAML."""
    file = folder / "pupil.yaml"
    file.write_text(f"nc: {len(CLASSES)}{NETWORK}")
    return file


def write_checkpoint(folder: Path, names: tuple[str, ...] = CLASSES, data: Path | None = None) -> Path:
    """A checkpoint that knows these classes; it has learnt nothing unless it is given data."""
    from ultralytics import YOLO

    torch.manual_seed(0)
    model = YOLO(str(write_network(folder)))
    if data is not None:
        _teach(model.model, DataSet.load(data))
    model.model.names = dict(enumerate(names))
    model.ckpt = {}
    file = folder / "pupil.pt"
    model.save(str(file))
    return file


def _teach(model: Any, data: DataSet) -> None:
    """Learn the train and val pictures by heart."""
    from ultralytics.cfg import get_cfg

    pictures = [picture for split in ("train", "val") for picture in data.pictures(split)]
    samples = [_sample(picture) for picture in pictures]
    model.args = get_cfg()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_STEPS)
    order = np.random.default_rng(0)
    for _ in range(_STEPS):
        loss, _ = model.loss(_batch([samples[place] for place in order.permutation(len(samples))[:_BATCH]]))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        schedule.step()
    model.eval()


def _sample(picture: Path) -> dict[str, torch.Tensor]:
    pixels = np.asarray(cv2.imread(str(picture)), np.uint8)
    labels = read_labels(picture)
    canvas, placement = letterbox(pixels, SIDE, SIDE)
    corners = labels.corners(placement.width, placement.height) * placement.scale
    corners += np.array([placement.left, placement.top] * 2)
    low, high = corners[:, :2], corners[:, 2:]
    return {
        "img": torch.from_numpy(canvas[..., ::-1].transpose(2, 0, 1).copy()).float() / 255,
        "cls": torch.from_numpy(labels.classes).float()[:, None],
        "bboxes": torch.from_numpy(np.concatenate([(low + high) / 2, high - low], axis=1) / SIDE).float(),
    }


def _batch(samples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    owners = [torch.full((len(sample["cls"]),), float(place)) for place, sample in enumerate(samples)]
    return {
        "img": torch.stack([sample["img"] for sample in samples]),
        "batch_idx": torch.cat(owners),
        "cls": torch.cat([sample["cls"] for sample in samples]),
        "bboxes": torch.cat([sample["bboxes"] for sample in samples]),
    }
