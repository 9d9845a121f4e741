"""Facts of a network: counted on the real one, timed by a clock that the test holds."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch
from trap_contract.errors import DataError
from trap_training.studies.network_facts import network_facts, time_network

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def weights(checkpoint: Callable[..., Path]) -> Path:
    return checkpoint()


def test_facts_are_those_of_the_checkpoint(weights: Path):
    from ultralytics import YOLO

    facts = network_facts(weights, 64, repetitions=3)
    assert facts.parameters == sum(one.numel() for one in YOLO(str(weights)).model.parameters())
    assert facts.file_bytes == weights.stat().st_size
    assert 0 < facts.milliseconds <= facts.milliseconds_p95
    assert facts.fps == pytest.approx(1000 / facts.milliseconds)
    assert len(facts.digest) == 64


def test_each_forward_is_timed_alone_and_warming_up_is_not(weights: Path):
    ticks = count(0, 0.5)
    assert time_network(weights, 64, 4, clock=lambda: next(ticks)) == [500] * 4
    assert next(ticks) == 0.5 * 2 * (5 + 4)


def test_timing_leaves_the_number_of_threads_as_it_was(weights: Path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    time_network(weights, 64, 1)
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 2


def test_a_damaged_checkpoint_is_named(tmp_path: Path):
    (tmp_path / "broken.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match=r"broken\.pt: not a network"):
        network_facts(tmp_path / "broken.pt", 64, 2)
