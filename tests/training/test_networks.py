"""Networks of our own: what their files promise, and that one network's activation never becomes another's."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from trap_training import networks
from trap_training.networks import network_file
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.tasks import DetectionModel

FOLDER = Path(networks.__file__).parent
NAMES = sorted(file.name for file in FOLDER.glob("*.yaml"))


def built(name: str) -> DetectionModel:
    return DetectionModel(str(network_file(name) or name), verbose=False)


def activations(model: nn.Module) -> set[type]:
    return {type(layer.act) for layer in model.modules() if isinstance(layer, Conv)} - {nn.Identity}


def test_the_networks_are_those_documented():
    assert NAMES == ["pico.yaml", "pico_relu.yaml", "yolov8n_relu.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_has_the_size_that_its_file_states(name: str, quiet: None):
    from ultralytics.utils.torch_utils import get_flops

    model = built(name)
    stated = re.search(r"([\d,]+) parameters, ([\d.]+) GFLOPs at 224 px", (FOLDER / name).read_text())
    assert stated is not None
    assert f"{sum(weight.numel() for weight in model.parameters()):,}" == stated[1]
    assert get_flops(model, 224) == pytest.approx(float(stated[2]), abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_has_five_classes_on_strides_8_16_and_32(name: str, quiet: None):
    head = built(name).model[-1]
    assert head.nc == 5
    assert head.stride.tolist() == [8, 16, 32]


def test_relu_is_in_every_block_of_a_relu_network_and_in_no_network_after_it(quiet: None):
    # Ultralytics keeps the activation of a model YAML in a class attribute while it builds; a leak would go unseen.
    for name in ("pico_relu.yaml", "yolov8n_relu.yaml"):
        assert activations(built(name)) == {nn.ReLU}
        assert activations(built("pico.yaml")) == {nn.SiLU}
        assert isinstance(Conv.default_act, nn.SiLU)


def test_a_relu_network_stays_one_when_it_is_rebuilt_from_its_checkpoint(quiet: None, tmp_path: Path):
    from ultralytics import YOLO

    model = YOLO(str(network_file("pico_relu.yaml")))
    model.ckpt = {}
    model.save(str(tmp_path / "pico.pt"))
    loaded = YOLO(str(tmp_path / "pico.pt")).model
    assert activations(loaded) == activations(DetectionModel(loaded.yaml, verbose=False)) == {nn.ReLU}


def test_a_relu_network_is_a_silu_network_but_for_the_activation(quiet: None):
    pairs = [(built("pico.yaml"), built("pico_relu.yaml"))]
    shapes = [[(key, value.shape) for key, value in model.state_dict().items()] for pair in pairs for model in pair]
    assert shapes[0] == shapes[1]
    pixels = torch.rand(1, 3, 64, 64)
    for model in pairs[0]:
        model.load_state_dict(pairs[0][0].state_dict())
        model.eval()
    assert not torch.equal(*(model(pixels)[0] for model in pairs[0]))


@pytest.mark.parametrize("name", ["yolov8n.yaml", "pico", "pico.pt", "../networks/pico.yaml", "__init__.py", ""])
def test_only_bare_names_of_our_own_are_found(name: str):
    assert network_file(name) is None


def test_the_networks_lie_in_the_package_that_the_wheel_takes_whole():
    import tomllib

    root = Path(__file__).parents[2]
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert any(FOLDER.is_relative_to(root / package) for package in wheel["packages"])
    assert not {"exclude", "include", "only-include"} & set(wheel)
