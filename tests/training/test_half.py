"""Half precision: networks compute in bfloat16 while they learn, and only then."""

import pytest
import torch
from trap_training.half import half_networks
from ultralytics.nn.tasks import BaseModel, DetectionModel


@pytest.fixture(scope="module")
def network() -> DetectionModel:
    torch.manual_seed(0)
    return DetectionModel("yolov8n.yaml", nc=1, verbose=False).train()


def seen_types(network: DetectionModel, *, validates: bool) -> tuple[set[torch.dtype], set[torch.dtype]]:
    """Types of what the first convolution gives, and of the head maps."""
    inside: set[torch.dtype] = set()
    hook = network.model[0].conv.register_forward_hook(lambda _layer, _given, found: inside.add(found.dtype))
    with half_networks("cpu"), torch.inference_mode(validates):
        found = network(torch.rand(1, 3, 64, 64))
    hook.remove()
    return inside, {value.dtype for value in found.values() if isinstance(value, torch.Tensor)}


def test_a_network_that_learns_computes_in_bfloat16_and_hands_float32_to_its_losses(network: DetectionModel) -> None:
    assert seen_types(network, validates=False) == ({torch.bfloat16}, {torch.float32})


def test_a_network_that_is_validated_computes_in_float32(network: DetectionModel) -> None:
    assert seen_types(network, validates=True) == ({torch.float32}, {torch.float32})


def test_afterwards_networks_are_as_they_were() -> None:
    before = BaseModel.predict
    with pytest.raises(KeyError), half_networks("cpu"):
        raise KeyError
    assert BaseModel.predict is before
