"""trap-train in a process that writes down every network access, and dies by SIGKILL at a named point.

`python crashing.py FILE POINT ARGUMENTS...`: FILE receives the accesses; POINT is never, teacher-trained,
student-epoch (its first is saved) or student-evaluated (its weights are final, nothing has recorded it).
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

NETWORK = ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto")


def watch(file: Path) -> None:
    """Append every look-up and connection of this process and its forks to a file."""

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        is_local = event in NETWORK[2:] and not isinstance(arguments[1], tuple)  # a Unix socket's address is a text
        if event in NETWORK and not is_local:
            with file.open("a") as out:
                out.write(f"{event} {arguments[-2:]}\n")

    file.touch()
    sys.addaudithook(note)


def die() -> None:
    """End as in a power failure: nothing is flushed, nothing is caught."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Arrange death at a point."""
    from trap_training.running import Run

    ordinary = Run._train

    def train(run: Run, part: str, *rest: Any) -> Path:
        if part == "student" and point.startswith("student"):
            _arm_trainer(point)
        weights = ordinary(run, part, *rest)
        if (part, point) == ("teacher", "teacher-trained"):
            die()
        return weights

    Run._train = train  # type: ignore[method-assign]


def _arm_trainer(point: str) -> None:
    from trap_training.distillation import LessonTrainer

    name = {"student-epoch": "save_model", "student-evaluated": "final_eval"}[point]
    ordinary = getattr(LessonTrainer, name)

    def then_die(trainer: LessonTrainer) -> None:
        ordinary(trainer)
        die()

    setattr(LessonTrainer, name, then_die)


if __name__ == "__main__":
    log, point, *sys.argv[1:] = sys.argv[1:]
    watch(Path(log))
    arm(point)
    from trap_training.train_commands import main

    main()
