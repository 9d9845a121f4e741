"""Pictures out of a teacher alone, for when the ones it learnt from are gone. Experimental.

Pixels are moved until the teacher's own detection loss on boxes chosen beforehand is low, its batch normalisation sees
the statistics that it remembers, and neighbours resemble each other: the idea of DIODE (WACV 2021). Real pictures,
even unlabelled ones, teach better; a student of these must beat its baseline on real ones.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from trap_contract.dataset import DataSet, Labels, read_labels, write_description, write_labels
from trap_contract.errors import ConfigError, DataError
from trap_contract.letterbox import letterbox
from trap_contract.pictures import read_picture, write_picture
from trap_contract.suppression import iou_matrix

from trap_training.network_checks import load_network

_BATCH, _RATE = 16, 0.1
_STATISTICS, _SMOOTHNESS = 0.3, 0.1
_CONFIDENCE, _IOU = 0.40, 0.5
_TRIES = 20
_MARGIN = 0.04
"""Boxes keep away from the rim by more than pictures are shifted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How often a class is drawn beside the others, and its usual box in fractions of the picture's side."""

    weight: float
    width: float
    height: float


def usual_kinds(teacher: Path, like: Path | None) -> tuple[Kind, ...]:
    """What is usual of each of a teacher's classes: from a data set's labels, or evenly, a fifth of the picture's side.

    Raises DataError when teacher and data don't fit.
    """
    names = tuple(load_network(str(teacher)).names.values())
    if like is None:
        return tuple(Kind(1, 0.2, 0.2) for _ in names)
    data = DataSet.load(like)
    if data.names != names:
        raise DataError(f"{teacher}: its classes {names} are not those of {like}, in order: {data.names}")
    labels = [read_labels(picture) for picture in data.pictures("train")]
    classes = np.concatenate([each.classes for each in labels])
    sides = np.concatenate([each.boxes[:, 2:] for each in labels])
    return tuple(_usual(sides[classes == place]) for place in range(len(names)))


def _usual(sides: NDArray[np.float64]) -> Kind:
    width, height = np.median(sides, axis=0) if len(sides) else (0.2, 0.2)
    return Kind(float(len(sides)), float(width), float(height))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the pictures are: pictures begun, step, total loss, and how far the statistics are from the teacher's.

    The loss rises for some steps before it falls: a detection loss asks for little where nothing is seen yet.
    """

    pictures: int
    step: int
    loss: float
    statistics: float


@dataclass(frozen=True, slots=True)
class Inversion:
    """What is wanted of a teacher.

    kinds: one for each of its classes, in its order. imgsz: side of the pictures, px. starts: pictures of empty boards
    to begin with; noise where there are none. most: boxes in a picture at most.
    """

    teacher: Path
    kinds: tuple[Kind, ...]
    imgsz: int
    pictures: int
    steps: int
    seed: int = 0
    starts: tuple[Path, ...] = ()
    most: int = 3
    device: str = "cpu"


def invert(wanted: Inversion, out: Path) -> Iterator[Progress]:
    """Write a YOLO data set of synthetic pictures into `out`, telling after each step.

    Of the boxes wanted, those stay that the teacher itself finds above 0.40 (IoU 0.5); pictures without any are left
    out. `inversion.json` says what was kept, and warns where the teacher never saw pictures of this size. The same
    seed on as many threads gives the same bytes. Raises ConfigError or DataError when teacher and wish don't fit, and
    DataError when nothing is kept.
    """
    network, names, warnings = _teacher(wanted)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)  # else threads add gradients up in any order
    rng = np.random.default_rng(wanted.seed)
    statistics = _Statistics(network)
    drawn = kept = 0
    for first in range(0, wanted.pictures, _BATCH):
        count = min(_BATCH, wanted.pictures - first)
        labels = [_labels(wanted, rng) for _ in range(count)]
        pixels = _beginning(wanted, count, rng)
        for step in range(wanted.steps):
            loss, distance = _step(network, statistics, pixels, labels, rng)
            yield Progress(first + count, step + 1, loss, distance)
        drawn += sum(map(len, labels))
        kept += _write(network, pixels.pixels, labels, out, first)
    if kept == 0:
        raise DataError(f"{wanted.teacher}: confirms none of {drawn} boxes above {_CONFIDENCE}: take more steps")
    write_description(out, names, ("train",))
    digest = hashlib.sha256(wanted.teacher.read_bytes()).hexdigest()
    report = {"experimental": True, "teacher": digest, "seed": wanted.seed, "boxes": {"drawn": drawn, "kept": kept}}
    (out / "inversion.json").write_text(json.dumps({**report, "warnings": warnings}, indent=1))


class _Canvas:
    """Pixels (B, 3, side, side), RGB in 0..1, and what moves them."""

    def __init__(self, pixels: Tensor, steps: int) -> None:
        self.pixels = pixels.requires_grad_()
        self.optimizer = torch.optim.Adam([self.pixels], _RATE)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, max(1, steps))

    def move(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            self.pixels.clamp_(0, 1)


class _Statistics:
    """How far the inputs of a network's batch normalisations are from what these remember, in their own units."""

    def __init__(self, network: nn.Module) -> None:
        self._distances: list[Tensor] = []
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(self._compare)

    def taken(self) -> Tensor:
        """The mean over layers for the last pictures, a scalar; begins anew."""
        distance = torch.stack(self._distances).mean()
        self._distances.clear()
        return distance

    def _compare(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        places = (0, 2, 3)
        usual = (layer.running_var + layer.eps).sqrt()
        shift = (inputs[0].mean(places) - layer.running_mean) / usual
        spread = (inputs[0].var(places, unbiased=False) + layer.eps).sqrt() / usual
        self._distances.append(shift.square().mean() + (spread - 1).square().mean())


def _teacher(wanted: Inversion) -> tuple[Any, tuple[str, ...], list[str]]:
    """The network, frozen, with a detection loss; its class names; and what is doubtful about it."""
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import load_checkpoint

    try:
        network, content = load_checkpoint(wanted.teacher)
    except Exception as error:  # unpickling a damaged file can raise anything
        raise DataError(f"{wanted.teacher}: not a network that Ultralytics can read: {error}") from error
    names = tuple(network.names.values())
    if getattr(network, "task", "detect") != "detect" or not hasattr(network.model[-1], "reg_max"):
        raise DataError(f"{wanted.teacher}: no detector: give one that finds boxes")
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
        raise DataError(f"{wanted.teacher}: its batch normalisation is fused away: give the trained checkpoint")
    if len(wanted.kinds) != len(names):
        raise ConfigError(f"{wanted.teacher}: has classes {names}, and {len(wanted.kinds)} kinds of boxes are wanted")
    network.to(wanted.device).float().eval().requires_grad_(requires_grad=False)
    network.args = get_cfg()
    network.criterion = network.init_criterion()
    seen = (content.get("train_args") or {}).get("imgsz", wanted.imgsz)
    return network, names, [] if seen == wanted.imgsz else [f"the teacher learnt at {seen} px, not {wanted.imgsz}"]


def _labels(wanted: Inversion, rng: np.random.Generator) -> Labels:
    """One box or more, well inside and not touching each other."""
    weights = np.array([kind.weight for kind in wanted.kinds])
    classes: list[int] = []
    boxes: list[NDArray[np.float64]] = []
    for _ in range(1 + int(rng.integers(wanted.most))):
        name = int(rng.choice(len(weights), p=weights / weights.sum()))
        kind = wanted.kinds[name]
        size = np.clip(np.array([kind.width, kind.height]) * rng.lognormal(0, 0.1, 2), 0.02, 0.9)
        for _ in range(_TRIES):
            centre = rng.uniform(size / 2 + _MARGIN, 1 - _MARGIN - size / 2)
            if all((abs(centre - box[:2]) > (size + box[2:]) / 2).any() for box in boxes):
                classes.append(name)
                boxes.append(np.concatenate([centre, size]))
                break
    return Labels(np.array(classes, np.int64), np.array(boxes).reshape(-1, 4))


def _beginning(wanted: Inversion, count: int, rng: np.random.Generator) -> _Canvas:
    """Boards chosen at random, or grey noise."""
    side = wanted.imgsz
    noise = rng.normal(0.5, 0.1, (count, 3, side, side))
    if wanted.starts:
        chosen = [wanted.starts[int(place)] for place in rng.integers(len(wanted.starts), size=count)]
        boards = [letterbox(read_picture(board), side, side)[0][..., ::-1].transpose(2, 0, 1) for board in chosen]
        noise = np.stack(boards) / 255 + (noise - 0.5) / 10
    return _Canvas(torch.from_numpy(noise).float().clamp(0, 1).to(wanted.device), wanted.steps)


def _step(
    network: Any, statistics: _Statistics, canvas: _Canvas, labels: list[Labels], rng: np.random.Generator
) -> tuple[float, float]:
    """Move the pixels once; the loss before it, and the distance of the statistics."""
    moved, batch = _jittered(canvas.pixels, labels, rng)
    losses, _ = network.criterion(network(moved), batch)
    distance = statistics.taken()
    loss = losses.sum() / len(labels) + _STATISTICS * distance + _SMOOTHNESS * _roughness(canvas.pixels)
    canvas.move(loss)
    return loss.item(), distance.item()


def _jittered(pixels: Tensor, labels: list[Labels], rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Pictures shifted a little and perhaps flipped, and a batch whose boxes follow them."""
    side = pixels.shape[-1]
    shift, is_flipped = rng.integers(-side // 32, side // 32 + 1, 2), bool(rng.integers(2))
    boxes = torch.from_numpy(np.concatenate([label.boxes for label in labels])).float()
    boxes[:, :2] += torch.from_numpy(shift / side).float()
    moved = pixels.roll((int(shift[1]), int(shift[0])), (2, 3))
    if is_flipped:
        moved, boxes[:, 0] = moved.flip(3), 1 - boxes[:, 0]
    owners = torch.arange(len(labels)).repeat_interleave(torch.tensor([len(label) for label in labels]))
    classes = torch.from_numpy(np.concatenate([label.classes for label in labels]))
    batch = {"batch_idx": owners.float(), "cls": classes.float()[:, None], "bboxes": boxes}
    return moved, {name: value.to(pixels.device) for name, value in batch.items()}


def _roughness(pixels: Tensor) -> Tensor:
    """Total variation: the mean difference of neighbours, both ways."""
    return pixels.diff(dim=2).abs().mean() + pixels.diff(dim=3).abs().mean()


def _write(network: Any, pixels: Tensor, labels: list[Labels], out: Path, first: int) -> int:
    """Write the pictures with the boxes that the teacher confirms in them; returns how many boxes these are."""
    from ultralytics.utils.nms import non_max_suppression

    stored = (pixels.detach() * 255).round().byte()
    with torch.no_grad():
        found = non_max_suppression(network(stored.float() / 255)[0], _CONFIDENCE, _IOU, max_time_img=60)
    kept = 0
    for number, (picture, label, rows) in enumerate(zip(stored.cpu().numpy(), labels, found, strict=True), first):
        confirmed = _confirmed(label, rows.cpu().numpy(), pixels.shape[-1])
        if len(confirmed):
            file = out / "images" / "train" / f"{number:06d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_picture(file, np.ascontiguousarray(picture.transpose(1, 2, 0)[..., ::-1]))
            write_labels(file, confirmed)
            kept += len(confirmed)
    return kept


def _confirmed(label: Labels, rows: NDArray[np.float32], side: int) -> Labels:
    """The boxes that a finding (x0, y0, x1, y1, score, class) of their own class covers."""
    overlaps = iou_matrix(label.corners(side, side).astype(np.float32), rows[:, :4])
    stays = ((overlaps >= _IOU) & (label.classes[:, None] == rows[None, :, 5])).any(axis=1)
    return Labels(label.classes[stays], label.boxes[stays])
