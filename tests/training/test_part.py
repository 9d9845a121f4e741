"""A training begins with what it is given."""

from pathlib import Path

import torch
from pupil import write_checkpoint, write_network
from trap_contract.quiet import quiet_ultralytics
from trap_training.part import Part, Setting
from trap_training.pictures.rendering import render_dataset
from trap_training.recipe import Augmentation, Optimisation


def test_a_network_with_another_activation_begins_with_the_weights_it_is_given(tmp_path: Path) -> None:
    quiet_ultralytics(tmp_path / "ultralytics", online=False)
    from trap_training.distillation import Lesson, lesson_trainer

    for _ in render_dataset(tmp_path / "data", {"train": 2, "val": 1}, 64, 0, 1):
        pass
    start = write_checkpoint(tmp_path)
    network = write_network(tmp_path)
    network.write_text(network.read_text().replace("backbone:", "activation: torch.nn.ReLU()\nbackbone:"))
    setting = Setting(tmp_path / "data" / "data.yaml", 64, Optimisation(), Augmentation(), "cpu")
    part = Part(tmp_path / "student", str(network), 1, 0, setting, weights=start)

    trainer = lesson_trainer(Lesson())(overrides={"model": str(network), **part._arguments()})
    trainer.setup_model()

    before = torch.load(start, weights_only=False)["model"].float().state_dict()
    assert type(trainer.model.model[0].act) is torch.nn.ReLU
    for name, weight in trainer.model.named_parameters():
        torch.testing.assert_close(weight.data, before[name], msg=name)
