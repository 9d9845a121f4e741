"""Taps of every family's head, in training and evaluation, and the assigner's answers."""

import pytest
import torch
from torch import nn
from trap_training.taps import RecordingAssigner, Taps, recording_assigner
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

SIDE, CLASSES = 64, 5
ANCHORS = 8 * 8 + 4 * 4 + 2 * 2
BINS = {"yolov8n.yaml": 16, "yolov5n.yaml": 16, "yolo11n.yaml": 16, "yolo26n.yaml": 1}


@pytest.fixture(scope="module", params=BINS)
def network(request: pytest.FixtureRequest, quiet: None) -> DetectionModel:
    torch.manual_seed(0)
    model = DetectionModel(request.param, nc=CLASSES, verbose=False)
    model.args = get_cfg()
    return model


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Two pictures: an insect of class 2 in the first, one of class 4 in the second."""
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.3], [0.3, 0.6, 0.3, 0.5]])
    pixels = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return {"img": pixels, "batch_idx": torch.tensor([0.0, 1]), "cls": torch.tensor([[2.0], [4]]), "bboxes": boxes}


@pytest.mark.parametrize("is_training", [True, False])
def test_every_head_has_the_same_taps(network: DetectionModel, batch: dict[str, torch.Tensor], is_training: bool):
    taps = Taps.of(network.train(is_training)(batch["img"]))
    assert taps.cls_logits.shape == (2, CLASSES, ANCHORS)
    assert taps.box_logits.shape == (2, 4, BINS[network.yaml["yaml_file"]], ANCHORS)
    assert [tuple(tap.shape[-2:]) for tap in taps.maps] == [(8, 8), (4, 4), (2, 2)]
    assert taps.scores.shape == (2, ANCHORS)


def test_taps_of_distances_are_what_the_head_decodes(network: DetectionModel, batch: dict[str, torch.Tensor]):
    network.eval()
    head = network.model[-1]
    raw = network(batch["img"])[1]
    taps = Taps.of(network(batch["img"]))
    steps = torch.arange(head.reg_max).float()
    expected = head.dfl(raw.get("one2many", raw)["boxes"])
    found = (taps.box_logits.softmax(2) * steps[:, None]).sum(2) if head.reg_max > 1 else taps.box_logits[:, :, 0]
    torch.testing.assert_close(found, expected)


def test_level_scores_lie_where_their_maps_do(network: DetectionModel, batch: dict[str, torch.Tensor]):
    taps = Taps.of(network.train()(batch["img"]))
    levels = taps.level_scores()
    assert [tuple(level.shape) for level in levels] == [(2, 1, 8, 8), (2, 1, 4, 4), (2, 1, 2, 2)]
    assert levels[1][1, 0, 2, 3] == taps.scores[1, 64 + 2 * 4 + 3]
    logits = network.model[-1].cv3[1](taps.maps[1])
    torch.testing.assert_close(levels[1], logits.sigmoid().amax(dim=1, keepdim=True), rtol=1e-3, atol=1e-6)


def test_detached_taps_teach_nothing(network: DetectionModel, batch: dict[str, torch.Tensor]):
    taps = Taps.of(network.train()(batch["img"]))
    assert taps.cls_logits.requires_grad
    assert not any(tap.requires_grad for tap in (*vars_of(taps.detached()),))


def test_the_assigner_is_put_there_once_and_changes_no_loss(network: DetectionModel, batch: dict[str, torch.Tensor]):
    network.train()
    output = network(batch["img"])
    plain, recorded = network.init_criterion(), network.init_criterion()
    assigner = recording_assigner(recorded)
    assert recording_assigner(recorded) is assigner
    assert torch.equal(plain(output, batch)[0], recorded(output, batch)[0])


def test_the_assigner_remembers_targets_of_each_picture(network: DetectionModel, batch: dict[str, torch.Tensor]):
    criterion = network.init_criterion()
    assigner = recording_assigner(criterion)
    criterion(network.train()(batch["img"]), batch)
    last = assigner.last
    assert last is not None
    assert last.targets.shape == (2, ANCHORS, CLASSES)
    assert last.mask.dtype == torch.bool
    assert last.mask.any(dim=1).all()
    assert last.classes.shape == (int(last.mask.sum()),)
    assert set(last.classes.tolist()) == {2, 4}
    assert last.weights[~last.mask].abs().max() == 0


def test_pictures_without_insects_have_no_positives(network: DetectionModel, batch: dict[str, torch.Tensor]):
    criterion = network.init_criterion()
    assigner = recording_assigner(criterion)
    none = {"batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4)}
    criterion(network.train()(batch["img"]), batch | none)
    assert assigner.last is not None
    assert not assigner.last.mask.any()
    assert assigner.last.weights.sum() == 0


def test_a_recording_assigner_hands_on_what_the_assigner_says():
    class Fixed(nn.Module):
        def forward(self, first: int, *, second: int) -> tuple[int, int, torch.Tensor, torch.Tensor, str]:
            return first, second, torch.ones(1, 1, 1, requires_grad=True), torch.ones(1, 1), "same"

    assigner = RecordingAssigner(Fixed())
    assert assigner.last is None
    assert assigner(1, second=2)[::2] == (1, assigner(1, second=2)[2], "same")
    assert assigner.last is not None
    assert not assigner.last.targets.requires_grad


def vars_of(taps: Taps) -> list[torch.Tensor]:
    return [taps.cls_logits, taps.box_logits, *taps.maps]
