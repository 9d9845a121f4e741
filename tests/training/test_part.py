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
    for _ in render_dataset(tmp_path / "data", {"train": 8, "val": 4}, 64, 0, 1):
        pass
    start = write_checkpoint(tmp_path)
    network = write_network(tmp_path)
    network.write_text(network.read_text().replace("backbone:", "activation: torch.nn.ReLU()\nbackbone:"))
    still = Optimisation(batch=8, nbs=8, lr0=1e-9, warmup_epochs=0)
    setting = Setting(tmp_path / "data" / "data.yaml", 64, still, Augmentation(mosaic=0, close_mosaic=0), "cpu")

    best = Part(tmp_path / "student", str(network), 1, 0, setting, weights=start).train()

    before, after = (torch.load(file, weights_only=False)["model"].float() for file in (start, best))
    assert type(after.model[0].act) is torch.nn.ReLU
    for name, weight in after.named_parameters():
        torch.testing.assert_close(weight, dict(before.named_parameters())[name], rtol=0, atol=2e-3, msg=name)
