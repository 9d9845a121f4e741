"""The taught pair: its native term is Ultralytics' own, the teacher stays as it is, and copies are light."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pupil import NETWORK
from torch import nn
from trap_training.distillation import DistilledModel
from trap_training.networks import network_file
from trap_training.terms import Term
from trap_training.terms.feature import ChannelWise, Hint, Native
from trap_training.terms.localisation import Boxes, Localisation
from trap_training.terms.relation import BatchRelation
from trap_training.terms.response import Response, Softened
from trap_training.views import StoredTeacher, ViewStore
from ultralytics.cfg import get_cfg
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.nn.tasks import DetectionModel

SIDE, CLASSES, GAIN = 64, 5, 6.0
ALL: tuple[Term, ...] = (
    Response(),
    Softened(),
    Localisation(),
    Boxes(),
    Hint(),
    ChannelWise(),
    Native(),
    BatchRelation(),
)


def network(seed: int, width: float = 1.0, **head: Any) -> DetectionModel:
    """The smallest network, so many times as wide."""
    torch.manual_seed(seed)
    content = yaml.safe_load(NETWORK) | {"nc": CLASSES, "width_multiple": width, "scales": None} | head
    model = DetectionModel(content, verbose=False)
    model.args = get_cfg(overrides={"imgsz": SIDE, "dis": GAIN})
    return model


def wrapped(**head: Any) -> DistillationModel:
    """A pair as the trainer wraps it, the same every time."""
    model = DistillationModel(network(1, 2.0, **head), network(2, **head))
    torch.manual_seed(3)
    for layer in model.projector.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    return model.train()


def distilled(*terms: Term, **head: Any) -> DistilledModel:
    model = wrapped(**head)
    model.__class__ = DistilledModel
    model.prepare(terms)
    return model


@pytest.fixture
def batch(quiet: None) -> dict[str, Any]:
    pixels = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.3], [0.3, 0.6, 0.3, 0.5]])
    labels = {"batch_idx": torch.tensor([0.0, 1]), "cls": torch.tensor([[2.0], [4]]), "bboxes": boxes}
    return {"img": pixels, "view": (3, 1), **labels}


def learn(model: DistillationModel, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    losses, _ = model.loss(batch)
    losses.sum().backward()
    weights = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return losses.detach(), weights


def test_the_native_term_is_ultralytics_own(batch: dict[str, Any]):
    theirs, their_gradients = learn(wrapped(), batch)
    ours, our_gradients = learn(distilled(Native(weight=GAIN)), batch)
    torch.testing.assert_close(ours, theirs)
    assert {name for name in their_gradients if name.startswith("projector")}
    torch.testing.assert_close(our_gradients, their_gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", [{}, {"end2end": True, "reg_max": 1}], ids=["one branch", "two branches"])
def test_a_step_leaves_the_teacher_as_it_is(head: dict[str, Any], batch: dict[str, Any]):
    model = distilled(*(term for term in ALL if term.fault(CLASSES, head.get("reg_max", 16)) is None), **head)
    before = copy.deepcopy(model.teacher_model.state_dict())
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], 0.01)
    model.loss(batch)[0].sum().backward()
    optimizer.step()
    assert all(weight.grad is None for weight in model.teacher_model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.teacher_model.state_dict().items())
    assert not model.teacher_model.training


def test_every_term_reaches_student_and_adapters(batch: dict[str, Any]):
    model = distilled(*ALL)
    losses, gradients = learn(model, batch)
    assert losses.isfinite().all()
    assert (losses[3:] > 0).all()
    assert "student_model.model.0.conv.weight" in gradients
    assert all(weight.grad is not None for weight in model.adapters.parameters())


def test_losses_count_pictures_and_items_do_not(batch: dict[str, Any]):
    losses, items = distilled(Response(weight=2.0)).loss(batch)
    assert losses[3].item() == pytest.approx(2 * items["response_loss"].item())
    single, _ = distilled(Response(weight=1.0)).loss(batch)
    assert losses[3].item() == pytest.approx(2 * single[3].item())


def test_a_share_of_nothing_is_no_loss(batch: dict[str, Any]):
    model = distilled(Response(), Hint())
    model.shares = (0.0, 0.5)
    _, items = model.loss(batch)
    whole = distilled(Response(), Hint()).loss(batch)[1]
    assert items["response_loss"].item() == 0
    assert items["hint_loss"].item() > 0
    assert set(items) == set(whole)


def test_items_have_the_same_names_in_training_and_evaluation(batch: dict[str, Any]):
    model = distilled(*ALL)
    losses, items = model.loss(batch)
    with torch.no_grad():
        calm_losses, calm_items = model.eval().loss(batch)
    assert list(items) == list(calm_items)
    assert losses.shape == calm_losses.shape
    assert [calm_items[f"{term.name}_loss"].item() for term in ALL] == [0.0] * len(ALL)


def stored_views(folder: Path, batch: dict[str, Any]) -> ViewStore:
    """Four views, of which 3 and 1 are the batch's pictures."""
    pixels = torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8)
    batch["img"] = (batch["img"] * 255).byte().float() / 255
    pixels[[3, 1]] = (batch["img"] * 255).round().byte()
    rows = torch.zeros(0, 5).numpy()
    return ViewStore(folder, 4, 1, pixels.numpy(), torch.zeros(5, dtype=torch.int64).numpy(), rows)


def test_stored_answers_are_the_live_ones_in_half_precision(batch: dict[str, Any], tmp_path: Path):
    model = distilled(*ALL)
    store = stored_views(tmp_path, batch)
    live = model._teacher_taps(batch)
    model.stored = StoredTeacher.opened(tmp_path / "a", store, model.teacher_model, torch.device("cpu"), maps=True)
    stored = model._teacher_taps(batch)
    torch.testing.assert_close(stored.cls_logits, live.cls_logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(stored.box_logits, live.box_logits, rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(stored.maps, live.maps, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_stored_answers_are_asked_for_once_and_again_only_for_maps(batch: dict[str, Any], tmp_path: Path):
    teacher, asked = network(0), []
    teacher.register_forward_hook(lambda *_: asked.append(1))
    store, cpu = stored_views(tmp_path, batch), torch.device("cpu")
    without, _ = (StoredTeacher.opened(tmp_path / "a", store, teacher, cpu, maps=False) for _ in range(2))
    assert len(asked) == 1
    assert without.taps([0], cpu).maps == ()
    with_maps = StoredTeacher.opened(tmp_path / "a", store, teacher, cpu, maps=True)
    again = StoredTeacher.opened(tmp_path / "a", store, teacher, cpu, maps=False)
    assert len(asked) == 2
    assert len(with_maps.taps([0], cpu).maps) == len(again.taps([0], cpu).maps) == 2


def test_answers_that_were_interrupted_are_asked_for_anew(batch: dict[str, Any], tmp_path: Path):
    teacher, store, cpu = network(0), stored_views(tmp_path, batch), torch.device("cpu")
    first = StoredTeacher.opened(tmp_path / "a", store, teacher, cpu, maps=False).taps([3], cpu)
    (tmp_path / "a" / "answers.json").unlink()
    (tmp_path / "a" / "cls_logits.npy").write_bytes(b"half of it")
    second = StoredTeacher.opened(tmp_path / "a", store, teacher, cpu, maps=False).taps([3], cpu)
    assert torch.equal(first.cls_logits, second.cls_logits)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_work_and_leave_stored_answers_behind(copied: Any, batch: dict[str, Any], tmp_path: Path):
    model = distilled(Response(), Hint())
    expected, _ = model.loss(batch)
    store = stored_views(tmp_path, dict(batch))
    model.stored = StoredTeacher.opened(tmp_path / "a", store, model.teacher_model, torch.device("cpu"), maps=True)
    twin = copied(model)
    assert twin.stored is None
    assert model.stored is not None
    torch.testing.assert_close(twin.train().loss(batch)[0], expected)


@pytest.mark.parametrize(
    ("teacher", "student", "bins"),
    [
        ("yolov8s", "yolov8n", 16),
        ("yolov5x", "yolov5n", 16),
        ("yolo11s", "yolo11n", 16),
        ("yolo26s", "yolo26n", 1),
        ("yolov8s", "yolov8n_relu", 16),
        ("yolov8s", "pico_relu", 16),
    ],
)
def test_every_pair_of_the_field_learns(batch: dict[str, Any], teacher: str, student: str, bins: int):
    place = Localisation() if bins > 1 else Boxes()
    sides = [
        DetectionModel(str(network_file(f"{name}.yaml") or f"{name}.yaml"), nc=CLASSES, verbose=False)
        for name in (teacher, student)
    ]
    sides[1].args = get_cfg(overrides={"imgsz": SIDE, "dis": GAIN})
    model = DistillationModel(*sides)
    model.__class__ = DistilledModel
    model.prepare((Response(), place, Hint(), Native(weight=GAIN)))
    _, gradients = learn(model.train(), batch)
    assert model.student_model.model[-1].reg_max == bins
    assert {name.split(".")[0] for name in gradients} == {"student_model", "projector", "adapters"}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
