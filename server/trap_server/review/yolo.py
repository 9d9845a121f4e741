"""Labels as a YOLO data set, which `trap-data import` reads."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

README = """Crops from traps, labelled by people; each picture has one box, or none where it shows no insect.
Read it with: trap-data import DIR --out OUT
Crops of one trap are alike: split them by trap, trap-data split --group '^([^_]+_[^_]+)_'
"""


def write_yolo(file: Path, labels: Iterable[Mapping[str, Any]], classes: list[str]) -> int:
    """A zip with data.yaml, images/ and labels/; returns how many pictures it has."""
    numbers = {name: number for number, name in enumerate(classes)}
    count = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # JPEG does not get smaller
        for label in labels:
            name = f"{label['tenant']}_{label['trap']}_{label['evidence']}"
            archive.writestr(f"images/{name}.jpg", label["jpeg"])
            archive.writestr(f"labels/{name}.txt", _line(label, numbers))
            count += 1
        archive.writestr("data.yaml", _description(classes))
        archive.writestr("README.txt", README)
    return count


def _line(label: Mapping[str, Any], numbers: Mapping[str, int]) -> str:
    if label["label"] is None:
        return ""
    box = " ".join(f"{one:.6f}" for one in label["box"])
    return f"{numbers[label['label']]} {box}\n"


def _description(classes: list[str]) -> str:
    """YAML, which JSON is a part of."""
    return json.dumps({"path": ".", "train": "images", "names": classes}, ensure_ascii=False) + "\n"
