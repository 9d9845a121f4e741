"""Several GPUs, as far as one can tell without any: what can't be taught there is refused, what can arrives there."""

import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from discs import CLASSES, write_discs
from pupil import write_network
from trap_contract.dataset import DataSet
from trap_contract.errors import ConfigError
from trap_training.network_checks import check_networks
from trap_training.recipe import Distillation, Network
from trap_training.terms.response import Response

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("term", ["hint", "cwd", "pkd"])
def test_a_term_with_adapters_is_refused_before_training(tmp_path: Path, term: str) -> None:
    network = Network(model=str(write_network(tmp_path)), epochs=1)
    data = DataSet.load(write_discs(tmp_path / "data", train=1, val=1))
    teaching = Distillation.model_validate({"terms": [{"term": term}]})
    with pytest.raises(ConfigError, match=f"term {term}: its adapters can't be trained on several GPUs"):
        check_networks([network, network], teaching, data, 64, "0,1", online=False)
    check_networks([network, network], teaching, data, 64, "0", online=False)


@pytest.mark.parametrize("term", ["response", "localisation", "native", "batch_relation"])
def test_a_term_without_adapters_of_ours_is_let_through(tmp_path: Path, term: str) -> None:
    network = Network(model=str(write_network(tmp_path)), epochs=1)
    data = DataSet.load(write_discs(tmp_path / "data", train=1, val=1))
    teaching = Distillation.model_validate({"terms": [{"term": term}]})
    check_networks([network, network], teaching, data, 64, "0,1", online=False)
    assert data.names == CLASSES


def test_the_lesson_reaches_the_processes_that_ultralytics_starts(tmp_path: Path) -> None:
    # Ultralytics hands each GPU's process the pickled trainer class and none of the constructor's other arguments.
    from trap_training.distillation import Lesson, lesson_trainer

    file = tmp_path / "trainer"
    file.write_bytes(cloudpickle.dumps(lesson_trainer(Lesson((Response(weight=0.25),)))))
    program = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).lesson.terms[0].weight)"
    command = [sys.executable, "-c", program, file]
    found = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert found.stdout.strip().endswith("0.25")
