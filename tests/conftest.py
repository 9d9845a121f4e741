"""What the tests of several rooms share: a small data set, and a real detector that has learnt it."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from discs import write_discs

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks are slower on several threads

hypothesis.settings.register_profile("house", deadline=None, derandomize=True, print_blob=False)
hypothesis.settings.load_profile("house")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that train begin first, so that no process waits at the end for the other's longest one."""
    items.sort(key=lambda item: "training" not in item.path.parts)


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ultralytics kept off the network and out of the user's home."""
    from trap_contract.quiet import quiet_ultralytics

    quiet_ultralytics(tmp_path_factory.mktemp("ultralytics"))


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data.yaml of 48 train and 24 val pictures of discs."""
    return write_discs(tmp_path_factory.mktemp("discs"), train=48, val=24)


@pytest.fixture(scope="session")
def checkpoint(quiet: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a checkpoint in a folder of its own; see pupil.write_checkpoint."""
    from pupil import write_checkpoint

    return lambda **options: write_checkpoint(tmp_path_factory.mktemp("checkpoint"), **options)


@pytest.fixture(scope="session")
def student(checkpoint: Callable[..., Path], discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that finds most discs; the other process of a run waits for the one that trains it."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    trained = place / "student.pt"
    with (place / "student.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not trained.exists():
            checkpoint(data=discs).rename(trained)
    return trained
