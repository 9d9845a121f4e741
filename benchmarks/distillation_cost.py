"""What a distilled training step costs beside a plain one: YOLOv8s teaches YOLOv8n, on rendered pictures, on the CPU.

The ways are plain training, our terms with a live teacher, our terms with the teacher's answers stored, and
Ultralytics' own term with a live teacher. A step is everything an epoch repeats: fetch a batch, forward, losses,
backward, optimizer. Steps of all ways are interleaved in one process, so that other work falls on all of them alike.

What it shows: the ratio of epoch times, since an epoch is so many steps. What it does not show: a GPU, where the
teacher is cheaper beside the fetching of pictures; the one-off cost of storing answers, which is printed apart.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trap_contract.dataset import DataSet
from trap_contract.quiet import quiet_ultralytics
from trap_training.part import Setting, use_threads
from trap_training.pictures.rendering import render_dataset
from trap_training.recipe import DEFAULT_TERMS, Augmentation, Network, Optimisation
from trap_training.terms.feature import Native

if TYPE_CHECKING:  # they import Ultralytics, which must be quiet by then and must not write to standard output
    from trap_training.distillation import LessonTrainer

WAYS = ("plain", "live", "stored", "native")
BATCH = 16


def main() -> None:
    """Time the steps and print them as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=24, help="steps of each way, after two to warm up")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, redirect_stdout(sys.stderr):
        times, storing = measured(Path(place), flags.rounds, flags.pictures, flags.threads)
    result = summary(times) | {"storing_seconds_a_view": storing, "threads": flags.threads}
    print(json.dumps(result) if flags.json else as_table(result))


def measured(folder: Path, rounds: int, pictures: int, threads: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each step of each way; and seconds that storing one view and its answer took."""
    for _ in render_dataset(folder / "data", {"train": pictures, "val": 8}, 224, 0, 1):
        pass
    quiet_ultralytics(folder / "ultralytics", online=False)
    from trap_training.lessons import write_start

    use_threads(threads)
    data = DataSet.load(folder / "data" / "data.yaml")
    teacher = write_start(Network(model="yolov8s.yaml", epochs=1), data, folder, seed=0)
    began = time.perf_counter()
    stored = prepared("stored", data, teacher, folder)
    storing = (time.perf_counter() - began) / pictures
    trainers = {way: stored if way == "stored" else prepared(way, data, teacher, folder) for way in WAYS}
    feeds = {way: batches(trainer) for way, trainer in trainers.items()}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 2):
        for way in WAYS:
            began = time.perf_counter()
            step(trainers[way], next(feeds[way]))
            if number >= 2:
                times[way].append(time.perf_counter() - began)
    return times, storing


def prepared(way: str, data: DataSet, teacher: Path, folder: Path) -> "LessonTrainer":
    """A trainer of this way, set up to take steps."""
    from trap_training.distillation import Lesson, lesson_trainer
    from trap_training.lessons import stored_views

    setting = Setting(data.file, 224, Optimisation(batch=BATCH, nbs=BATCH), Augmentation(), "cpu")
    views = stored_views(folder / "views", data, setting, epochs=1) if way in {"plain", "stored"} else None
    answers = views.folder / "answers" if views is not None and way == "stored" else None
    terms = {"plain": (), "native": (Native(),)}.get(way, DEFAULT_TERMS)
    arguments: dict[str, Any] = {
        "model": "yolov8n.yaml", "data": str(data.file), "epochs": 1, "imgsz": 224, "device": "cpu", "workers": 0,
        "cache": "ram", "amp": False, "plots": False, "project": str(folder), "name": way, "exist_ok": True,
        **setting.optimisation.model_dump(), **setting.augmentation.model_dump(),
    }  # fmt: skip
    if terms:
        arguments["distill_model"] = str(teacher)
    trainer = lesson_trainer(Lesson(terms, views, answers))(overrides=arguments)
    trainer._setup_train()  # noqa: SLF001 - Ultralytics has no public way to set a trainer up without training
    trainer.epoch = 0
    return trainer


def batches(trainer: "LessonTrainer") -> Iterator[dict[str, Any]]:
    """Batches without end."""
    trainer._model_train()  # noqa: SLF001
    while True:
        yield from trainer.train_loader


def step(trainer: "LessonTrainer", batch: dict[str, Any]) -> None:
    """What Ultralytics' training loop does with a batch."""
    losses, _ = trainer.model(trainer.preprocess_batch(batch))
    losses.sum().backward()
    trainer.optimizer_step()


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    """Median, minimum and maximum of each way's steps, and its rounds' ratios to the plain ones."""
    ways = {}
    for way, found in times.items():
        ratios = [mine / plain for mine, plain in zip(found, times["plain"], strict=True)]
        spread = statistics.quantiles(ratios, n=4)
        ways[way] = {
            "median_s": statistics.median(found), "min_s": min(found), "max_s": max(found),
            "times_plain": spread[1], "middle_half": [spread[0], spread[2]],
        }  # fmt: skip
    tools = {tool: version(tool) for tool in ("torch", "ultralytics")}
    machine = f"{platform.platform()}, {processor()}"
    return {"ways": ways, "steps": len(times["plain"]), "batch": BATCH, "tools": tools, "machine": machine}


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def as_table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{'way':<8}{'median s':>10}{'min':>8}{'max':>8}{'x plain':>9}  middle half"]
    for way, row in result["ways"].items():
        lines.append(
            f"{way:<8}{row['median_s']:>10.3f}{row['min_s']:>8.3f}{row['max_s']:>8.3f}{row['times_plain']:>9.2f}"
            "  {:.2f} to {:.2f}".format(*row["middle_half"])
        )
    lines.append(f"{result['steps']} interleaved steps of {result['batch']} pictures, {result['threads']} threads")
    lines.append(f"storing a view and its answer, once: {result['storing_seconds_a_view']:.3f} s")
    lines.append(f"python {platform.python_version()}, {result['tools']}, {result['machine']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
