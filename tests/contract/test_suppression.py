"""Suppression against the obvious implementation, and the property that defines it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from trap_contract.detections import Detections
from trap_contract.suppression import iou_matrix, suppress


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    """Boxes on whole px, some of them outside the input, so that overlaps are frequent and exact."""
    count = draw(st.integers(0, 12))
    low = draw(hnp.arrays(np.int64, (count, 2), elements=st.integers(-20, 40)))
    size = draw(hnp.arrays(np.int64, (count, 2), elements=st.integers(1, 25)))
    scores = draw(hnp.arrays(np.float32, count, elements=st.floats(0, 1, width=32)))
    classes = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 2)))
    return Detections(np.concatenate([low, low + size], axis=1).astype(np.float32), scores, classes)


def obvious_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Areas in whole px: exact."""
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return wide * high / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high)


def obvious_suppression(found: Detections, iou: float, class_aware: bool) -> list[int]:
    kept: list[int] = []
    for place in sorted(range(len(found)), key=lambda place: -found.scores[place]):
        rivals = [other for other in kept if not class_aware or found.classes[other] == found.classes[place]]
        if all(obvious_iou(found.boxes[other], found.boxes[place]) <= iou for other in rivals):
            kept.append(place)
    return kept


@given(detections(), st.sampled_from([0.11, 0.31, 0.53, 0.71]), st.booleans())
def test_the_obvious_implementation_keeps_the_same_boxes(found: Detections, iou: float, class_aware: bool) -> None:
    expected = found.take(np.array(obvious_suppression(found, iou, class_aware), np.int64))
    kept = suppress(found, iou, class_aware=class_aware)
    assert kept.boxes.tolist() == expected.boxes.tolist()
    assert kept.scores.tolist() == expected.scores.tolist()
    assert kept.classes.tolist() == expected.classes.tolist()


@given(detections(), st.floats(0.05, 0.95))
def test_no_two_kept_boxes_overlap_above_the_limit(found: Detections, iou: float) -> None:
    kept = suppress(found, iou, class_aware=False)
    overlap = iou_matrix(kept.boxes, kept.boxes)
    assert (overlap[~np.eye(len(kept), dtype=bool)] <= iou).all()


@given(detections())
def test_what_is_kept_comes_best_first(found: Detections) -> None:
    scores = suppress(found, 0.5, class_aware=False).scores
    assert (np.diff(scores) <= 0).all()


@given(detections(), st.integers(1, 5))
def test_the_limit_keeps_the_best(found: Detections, limit: int) -> None:
    every = suppress(found, 0.5, class_aware=False)
    assert suppress(found, 0.5, class_aware=False, limit=limit).boxes.tolist() == every.boxes[:limit].tolist()


def test_an_overlap_exactly_at_the_limit_is_allowed() -> None:
    boxes = np.array([[0, 0, 4, 2], [0, 0, 2, 2]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 0]))
    assert len(suppress(found, 0.5, class_aware=False)) == 2
    assert len(suppress(found, 0.4999, class_aware=False)) == 1


def test_boxes_of_two_classes_beyond_the_input_s_edge_do_not_suppress_each_other() -> None:
    boxes = np.array([[80, 80, 100, 100], [-21, -21, -1, -1]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]))
    assert len(suppress(found, 0.5, class_aware=True)) == 2


@given(detections(), detections())
def test_iou_is_that_of_the_definition(a: Detections, b: Detections) -> None:
    expected = [[obvious_iou(one, other) for other in b.boxes] for one in a.boxes]
    assert iou_matrix(a.boxes, b.boxes) == pytest.approx(np.array(expected).reshape(len(a), len(b)), abs=1e-6)


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert iou_matrix(point, point).tolist() == [[0]]
