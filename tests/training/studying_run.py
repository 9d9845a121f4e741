"""`trap-train study` in a process that dies by SIGKILL once so many epochs have been saved: FILE COUNT ARGUMENTS."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from trap_training.part import Part


def die_after(counter: Path, count: int) -> None:
    """Count saved epochs in a file, over all processes, and die at each multiple of `count`."""
    ordinary = Part._fit

    def armed(part: Part, *rest: Any) -> None:
        from trap_training.distillation import LessonTrainer  # not before the command has turned stdout over

        if not hasattr(LessonTrainer, "is_counted"):
            _count(LessonTrainer, counter, count)
        ordinary(part, *rest)

    Part._fit = armed  # type: ignore[method-assign]


def _count(trainer: Any, counter: Path, count: int) -> None:
    ordinary = trainer.save_model

    def then_count(self: Any) -> Any:
        saved = ordinary(self)
        with counter.open("a") as file:
            file.write(".")
        if counter.stat().st_size % count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return saved

    trainer.save_model, trainer.is_counted = then_count, True


if __name__ == "__main__":
    counter, count, *sys.argv[1:] = sys.argv[1:]
    die_after(Path(counter), int(count))
    from trap_training.train_commands import main

    main()
