"""Whether networks, teaching, data and device fit each other, before hours are spent."""

from pathlib import Path
from typing import Any

import numpy as np
from trap_contract.dataset import DataSet
from trap_contract.errors import ConfigError, DataError

from trap_training.recipe import Distillation, Network
from trap_training.terms import Term


def check_networks(
    networks: list[Network],
    teaching: Distillation | None,
    data: DataSet,
    imgsz: int,
    device: str,
    *,
    online: bool,
) -> None:
    """Refuse, before anything is trained, networks and terms that don't fit the data, each other or the device.

    Raises ConfigError or DataError.
    """
    for network in networks:
        is_missing = network.model.endswith(".pt") and not Path(network.model).exists()
        if is_missing and not online:
            raise ConfigError(f"{network.model}: no such checkpoint: give a path that exists, or --online")
        if not is_missing:
            check_network(network, data, imgsz)
    if teaching is None:
        return
    student = load_network(networks[-1].model).model.model[-1]
    for term in teaching.terms:
        if fault := term.fault(len(data.names), student.reg_max):
            raise ConfigError(f"term {term.name}: {fault}")
        if "," in device and term.learns and term.name != "native":
            raise ConfigError(f"term {term.name}: its adapters can't be trained on several GPUs: use one, or drop it")
        if teaching.scheme == "mutual" and term.learns:
            raise ConfigError(f"term {term.name}: its adapters lead one way, and mutual learning goes both: drop it")


def check_network(network: Network, data: DataSet, imgsz: int) -> None:
    """Refuse what Ultralytics can't build, and a teacher as it is that was trained for something else.

    Raises DataError when such a teacher's classes are not the data's, in order (distillation would accept it silently
    and teach one class as another), or when it never saw pictures of this size. A checkpoint that is trained further
    may have any classes: its head is made anew.
    """
    model = load_network(network.model)
    if network.epochs > 0:
        return
    names = tuple(model.names.values())
    if names != data.names:
        raise DataError(f"{network.model}: its classes {names} are not those of {data.file}, in order: {data.names}")
    seen = ((model.ckpt or {}).get("train_args") or {}).get("imgsz", imgsz)
    if seen != imgsz:
        raise DataError(f"{network.model}: was trained at {seen} px, not {imgsz}: set imgsz, or train it at that size")


def load_network(model: str) -> Any:
    """A network as Ultralytics loads or builds it.

    Raises DataError when it can't.
    """
    from ultralytics import YOLO

    try:
        return YOLO(model, task="detect")
    except Exception as error:  # unpickling a damaged file can raise anything
        raise DataError(f"{model}: not a network that Ultralytics can read: {error}") from error


def bytes_of_views(count: int, imgsz: int, teacher: Any, terms: tuple[Term, ...] | None, classes: int) -> int:
    """Room that so many views take on the disk, and a teacher's answers to them where there are terms to teach."""
    pixels = 3 * imgsz**2
    if terms is None:
        return count * pixels
    head = teacher.model.model[-1]
    cells = [(imgsz // int(stride)) ** 2 for stride in head.stride]
    channels = [branch[0].conv.in_channels for branch in head.cv2]
    answers = sum(cells) * (classes + 4 * head.reg_max)
    if any(term.uses_maps for term in terms):
        answers += sum(cell * channel for cell, channel in zip(cells, channels, strict=True))
    return count * (pixels + int(answers) * np.dtype(np.float16).itemsize)
