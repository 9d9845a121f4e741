"""Ultralytics without the network: it otherwise phones home, installs packages and fetches fonts at run time.

Call before the first `import ultralytics`. What is switched off, and why: docs/decisions/0003-ultralytics-offline.md.
"""

import os
import shutil
from importlib import resources
from pathlib import Path

_SETTINGS = {"sync": False, "clearml": False, "comet": False, "dvc": False, "mlflow": False, "raytune": False}


def quiet_ultralytics(cache: Path, *, online: bool = False) -> None:
    """Point Ultralytics at a private settings folder; unless online, keep it off the network."""
    os.environ["YOLO_CONFIG_DIR"] = str(cache.resolve())
    os.environ["YOLO_AUTOINSTALL"] = "False"
    # Importing ultralytics otherwise sets this to 1, and one core trains.
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    if not online:
        os.environ["YOLO_OFFLINE"] = "True"
    folder = cache / "Ultralytics"
    folder.mkdir(parents=True, exist_ok=True)
    _place_font(folder)
    from ultralytics import settings

    settings.update(_SETTINGS)


def _place_font(folder: Path) -> None:
    """Plots want Arial, and a missing one is looked for on the network; matplotlib's own font takes its place."""
    font = resources.files("matplotlib") / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (folder / name).exists():
            with resources.as_file(font) as source:
                shutil.copyfile(source, folder / name)
