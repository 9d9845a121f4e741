"""The decoder against a plain one written from the definition, anchor by anchor, in double precision."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.decode import VALIDATION, DecodeSettings, decode, decode_many
from trap_contract.detections import Detections
from trap_contract.manifest import HeadSpec, InputSpec, OutputSpec, Quantisation

INPUT = InputSpec(name="images", width=64, height=96, layout="NCHW", dtype="float32")
EVERYTHING = {"iou": 1.0, "limit": 10_000}
"""Suppression that suppresses nothing, so that the decoding alone is compared."""


def split_head(strides: tuple[int, ...], layout: str = "NCHW", reg_max: int = 16, **scales: Quantisation) -> HeadSpec:
    outputs = [
        OutputSpec.model_validate(
            {"name": f"{role}_{stride}", "role": role, "stride": stride, "quantisation": scales.get(role)}
        )
        for stride in strides
        for role in ("box", "cls")
    ]
    return HeadSpec.model_validate({"kind": "split", "outputs": tuple(outputs), "layout": layout, "reg_max": reg_max})


def random_maps(rng: np.random.Generator, head: HeadSpec, classes: int) -> list[np.ndarray]:
    """Raw maps (1, C, H, W) for INPUT, in the order of the head's outputs."""
    maps = []
    for output in head.outputs:
        stride = output.stride or 1
        channels = 4 * head.reg_max if output.role == "box" else classes
        maps.append(
            rng.normal(-1, 2.5, (1, channels, INPUT.height // stride, INPUT.width // stride)).astype(np.float32)
        )
    return maps


def distance(side: np.ndarray) -> float:
    """Mean of a distribution over bins given by its logits; a single number is the distance itself."""
    if len(side) == 1:
        return float(side[0])
    weights = [math.exp(float(v)) for v in side]
    return sum(i * v for i, v in enumerate(weights)) / sum(weights)


def plain_split(maps: list[np.ndarray], head: HeadSpec, threshold: float, every_class: bool) -> list[list[float]]:
    """Rows x0, y0, x1, y1, score, class: each cell in turn, sigmoid of its logits, four distances."""
    rows = []
    for box, cls, spec in zip(maps[::2], maps[1::2], head.outputs[::2], strict=True):
        stride = spec.stride or 1
        for y in range(box.shape[2]):
            for x in range(box.shape[3]):
                scores = [1 / (1 + math.exp(-float(logit))) for logit in cls[0, :, y, x]]
                left, top, right, bottom = (distance(side) for side in box[0, :, y, x].reshape(4, head.reg_max))
                corners = (x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom)
                best = scores.index(max(scores))
                chosen = range(len(scores)) if every_class else [best]
                rows += [[*(v * stride for v in corners), scores[c], c] for c in chosen if scores[c] >= threshold]
    return sorted(rows, key=lambda row: -row[4])


def rows_of(found: Detections) -> np.ndarray:
    return np.column_stack([found.boxes, found.scores, found.classes]).reshape(-1, 6)


def as_layout(maps: list[np.ndarray], layout: str) -> list[np.ndarray]:
    return maps if layout == "NCHW" else [one.transpose(0, 2, 3, 1).copy() for one in maps]


@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(1, 6),
    strides=st.sampled_from([(8,), (16, 32), (8, 16, 32)]),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    reg_max=st.sampled_from([1, 8, 16]),
    threshold=st.sampled_from([0.3, 0.61, 0.9]),
    every_class=st.booleans(),
)
def test_a_split_head_gives_the_boxes_of_the_definition(
    *, seed: int, classes: int, strides: tuple[int, ...], layout: str, reg_max: int, threshold: float, every_class: bool
) -> None:
    head = split_head(strides, layout, reg_max)
    maps = random_maps(np.random.default_rng(seed), head, classes)
    settings = DecodeSettings(threshold, every_class=every_class, **EVERYTHING)
    found = rows_of(decode(as_layout(maps, layout), head, INPUT, settings))
    expected = np.array(plain_split(maps, head, threshold, every_class)).reshape(-1, 6)
    assert found == pytest.approx(expected, abs=1e-3)


def quantised(real: np.ndarray, scale: Quantisation) -> np.ndarray:
    return np.clip(np.rint(real / scale.scale) + scale.zero_point, -128, 127).astype(np.int8)


def dequantised(stored: np.ndarray, scale: Quantisation) -> np.ndarray:
    return (stored.astype(np.float32) - scale.zero_point) * np.float32(scale.scale)


@given(
    seed=st.integers(0, 2**32 - 1),
    box_scale=st.builds(Quantisation, scale=st.floats(0.02, 0.3), zero_point=st.integers(-128, 127)),
    cls_scale=st.builds(Quantisation, scale=st.floats(0.02, 0.3), zero_point=st.integers(-128, 127)),
    threshold=st.floats(0.01, 0.99),
    every_class=st.booleans(),
)
def test_an_int8_head_gives_what_its_dequantised_twin_gives(
    seed: int, box_scale: Quantisation, cls_scale: Quantisation, threshold: float, every_class: bool
) -> None:
    head, twin = split_head((16, 32), "NHWC", box=box_scale, cls=cls_scale), split_head((16, 32), "NHWC")
    maps = as_layout(random_maps(np.random.default_rng(seed), head, 5), "NHWC")
    scales = (box_scale, cls_scale) * 2
    stored = [quantised(one, scale) for one, scale in zip(maps, scales, strict=True)]
    real = [dequantised(one, scale) for one, scale in zip(stored, scales, strict=True)]
    settings = DecodeSettings(threshold, every_class=every_class, **EVERYTHING)
    found, expected = (rows_of(decode(one, spec, INPUT, settings)) for one, spec in ((stored, head), (real, twin)))
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("every_class", [False, True])
def test_a_score_exactly_at_the_threshold_counts(every_class: bool) -> None:
    head = split_head((32,))
    box = np.zeros((1, 64, 3, 2), np.float32)
    logits = np.full((1, 1, 3, 2), np.nextafter(np.float32(0), np.float32(-1)), np.float32)
    logits[0, 0, 1, 1] = 0  # sigmoid 0.5
    found = decode([box, logits], head, INPUT, DecodeSettings(0.5, every_class=every_class))
    assert found.scores.tolist() == [0.5]
    assert found.boxes.tolist() == [[48 - 240, 48 - 240, 48 + 240, 48 + 240]]


def test_an_int8_score_exactly_at_the_threshold_counts() -> None:
    scale = Quantisation(scale=0.1, zero_point=-7)
    head = split_head((32,), cls=scale)
    logits = np.full((1, 1, 3, 2), -8, np.int8)
    logits[0, 0, 2, 0] = -7  # the stored form of 0
    found = decode([np.zeros((1, 64, 3, 2), np.float32), logits], head, INPUT, DecodeSettings(0.5))
    assert found.scores.tolist() == [0.5]


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, 6), (1.0, 0)])
@pytest.mark.filterwarnings("error")
def test_the_extreme_thresholds_mean_all_and_none(threshold: float, expected: int) -> None:
    maps = [np.zeros((1, 64, 3, 2), np.float32), np.full((1, 2, 3, 2), 20, np.float32)]
    assert len(decode(maps, split_head((32,)), INPUT, DecodeSettings(threshold, **EVERYTHING))) == expected


@pytest.mark.filterwarnings("error")
def test_logits_of_any_size_make_scores_without_overflow() -> None:
    logits = np.array([-1e4, -100, 0, 100, 1e4, 3], np.float32).reshape(1, 1, 3, 2)
    found = decode(
        [np.full((1, 64, 3, 2), 1e4, np.float32), logits], split_head((32,)), INPUT, DecodeSettings(0.0, **EVERYTHING)
    )
    assert found.scores.tolist() == pytest.approx([1, 1, 1 / (1 + math.exp(-3)), 0.5, 0, 0])
    assert np.isfinite(found.boxes).all()


def decoded_head(unit: str, quantisation: Quantisation | None = None) -> HeadSpec:
    output = OutputSpec(name="output0", role="decoded", quantisation=quantisation)
    return HeadSpec.model_validate({"kind": "decoded", "outputs": (output,), "box_unit": unit})


def plain_decoded(tensor: np.ndarray, threshold: float, every_class: bool) -> list[list[float]]:
    rows = []
    for x, y, width, height, *scores in tensor[0].T.tolist():
        chosen = range(len(scores)) if every_class else [scores.index(max(scores))]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        rows += [[*corners, scores[c], c] for c in chosen if scores[c] >= np.float32(threshold)]
    return sorted(rows, key=lambda row: -row[4])


@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(1, 6),
    anchors=st.integers(1, 60),
    unit=st.sampled_from(["pixel", "relative"]),
    threshold=st.floats(0.01, 0.99),
    every_class=st.booleans(),
)
def test_a_decoded_head_gives_the_boxes_of_the_definition(
    *, seed: int, classes: int, anchors: int, unit: str, threshold: float, every_class: bool
) -> None:
    rng = np.random.default_rng(seed)
    tensor = rng.uniform(0, 1, (1, 4 + classes, anchors)).astype(np.float32)
    sides = np.array([INPUT.width, INPUT.height] * 2, np.float32)[None, :, None]
    in_px = np.concatenate([tensor[:, :4] * sides, tensor[:, 4:]], axis=1)
    settings = DecodeSettings(threshold, every_class=every_class, **EVERYTHING)
    found = decode([tensor if unit == "relative" else in_px], decoded_head(unit), INPUT, settings)
    expected = np.array(plain_decoded(in_px, threshold, every_class)).reshape(-1, 6)
    assert rows_of(found) == pytest.approx(expected, abs=1e-3)


@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0.01, 0.99))
def test_an_int8_decoded_head_gives_what_its_dequantised_twin_gives(seed: int, threshold: float) -> None:
    scale = Quantisation(scale=1 / 256, zero_point=-128)
    stored = np.random.default_rng(seed).integers(-128, 128, (1, 8, 40), np.int8)
    settings = DecodeSettings(threshold, **EVERYTHING)
    found = decode([stored], decoded_head("relative", scale), INPUT, settings)
    expected = decode([dequantised(stored, scale)], decoded_head("relative"), INPUT, settings)
    assert rows_of(found).tolist() == rows_of(expected).tolist()


def test_a_trap_gives_an_insect_one_class_and_a_validator_scores_every_class() -> None:
    tensor = np.array([[32, 32, 20, 20, 0.8, 0.6]], np.float32).T[None]
    on_trap = decode([tensor], decoded_head("pixel"), INPUT, DecodeSettings(0.5))
    validating = decode([tensor], decoded_head("pixel"), INPUT, VALIDATION)
    assert on_trap.classes.tolist() == [0]
    assert validating.classes.tolist() == [0, 1]


def test_a_head_may_name_its_outputs_in_any_order() -> None:
    head = split_head((16, 32))
    maps = random_maps(np.random.default_rng(0), head, 3)
    order = [3, 0, 2, 1]
    mixed = head.model_copy(update={"outputs": tuple(head.outputs[place] for place in order)})
    settings = DecodeSettings(0.3)
    expected = decode(maps, head, INPUT, settings)
    found = decode([maps[place] for place in order], mixed, INPUT, settings)
    assert rows_of(found).tolist() == rows_of(expected).tolist()


@pytest.mark.parametrize(
    "outputs",
    [
        [{"name": "a", "role": "box", "stride": 8}],
        [{"name": "a", "role": "box", "stride": 8}, {"name": "b", "role": "box", "stride": 8}],
        [{"name": "a", "role": "box", "stride": 8}, {"name": "b", "role": "cls", "stride": 16}],
    ],
    ids=["no classes", "two boxes", "strides differ"],
)
def test_a_split_head_that_is_not_pairs_is_refused(outputs: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="one box and one cls output for every stride"):
        HeadSpec.model_validate({"kind": "split", "outputs": outputs})


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 5),
    kind=st.sampled_from(["NCHW", "NHWC", "decoded"]),
    settings=st.builds(
        DecodeSettings,
        st.sampled_from([0.3, 0.61, 0.99]),
        every_class=st.booleans(),
        limit=st.sampled_from([2, 300]),
    ),
)
def test_many_pictures_decoded_at_once_give_what_each_gives_alone(
    seed: int, count: int, kind: str, settings: DecodeSettings
) -> None:
    rng = np.random.default_rng(seed)
    if kind == "decoded":
        head = decoded_head("relative")
        batch = [[rng.random((1, 7, 30), np.float32)] for _ in range(count)]
    else:
        head = split_head((16, 32), kind)
        batch = [as_layout(random_maps(rng, head, 3), kind) for _ in range(count)]
    found, pictures = decode_many(batch, head, INPUT, settings)
    alone = [decode(outputs, head, INPUT, settings) for outputs in batch]
    assert pictures.tolist() == [number for number, one in enumerate(alone) for _ in range(len(one))]
    assert rows_of(found).tolist() == rows_of(Detections.joined(alone)).tolist()
