"""`trap-train study` in a process that dies by SIGKILL once so many epochs have been saved: FILE COUNT ARGUMENTS."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from trap_training.distillation import LessonTrainer


def die_after(counter: Path, count: int) -> None:
    """Count saved epochs in a file, over all processes, and die at each multiple of `count`."""
    ordinary = LessonTrainer.save_model

    def then_count(trainer: Any) -> Any:
        saved = ordinary(trainer)
        with counter.open("a") as file:
            file.write(".")
        if counter.stat().st_size % count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return saved

    LessonTrainer.save_model = then_count


if __name__ == "__main__":
    counter, count, *sys.argv[1:] = sys.argv[1:]
    die_after(Path(counter), int(count))
    from trap_training.train_commands import main

    main()
