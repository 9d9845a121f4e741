"""What the tests of several rooms share: a small data set, and a real detector that has learnt it."""

import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from discs import write_discs

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks are slower on several threads

hypothesis.settings.register_profile("house", deadline=None, derandomize=True, print_blob=False)
hypothesis.settings.load_profile("house")

_COSTLY = ("student", "finished_run")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the same costly fixture run in one process, so that it is made once."""
    for item in items:
        for fixture in set(_COSTLY) & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(fixture))


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
def student(checkpoint: Callable[..., Path], discs: Path) -> Path:
    """A checkpoint that finds most discs."""
    return checkpoint(data=discs)
