"""What is corrected covers the truth as often as it says, and nothing is corrected that can't be."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from trap_contract.correction import Correction
from trap_contract.errors import BundleError
from trap_contract.manifest import HeadSpec, InputSpec, Manifest, Metrics, OutputSpec

FEMALE_MALE_TORN = np.array([[0.85, 0.08, 0.02, 0.05], [0.1, 0.8, 0.02, 0.08], [0.1, 0.1, 0.7, 0.1]])
HARDLY_APART = np.array([[0.68, 0.22, 0.03, 0.07], [0.35, 0.55, 0.02, 0.08], [0.1, 0.1, 0.7, 0.1]])
FALSE = np.array([0.1, 0.05, 0.05])
"""A picture."""

PICTURES = 300
CLASSES = ("Female", "Male", "Incomplete")


def measured(chances: NDArray[Any], rng: np.random.Generator, instances: int = 200) -> Correction:
    """A matrix as validation would have found it."""
    matrix = np.zeros((len(chances) + 1,) * 2, np.int64)
    matrix[:-1] = rng.multinomial(instances, chances)
    matrix[-1, :-1] = rng.poisson(FALSE * PICTURES)
    return Correction(matrix, PICTURES)


def counted(truth: tuple[int, ...], chances: NDArray[Any], looks: int, rng: np.random.Generator) -> list[int]:
    """What the model would count."""
    seen = rng.multinomial(truth, chances).sum(axis=0)[:-1] + rng.poisson(FALSE * looks)
    return [int(number) for number in seen]


@pytest.mark.parametrize("chances", [FEMALE_MALE_TORN, HARDLY_APART], ids=["good", "poor"])
def test_the_interval_covers_the_truth_in_about_95_of_100(chances: NDArray[Any]) -> None:
    rng, covered = np.random.default_rng(1), []
    for _ in range(80):
        truth = tuple(int(number) for number in rng.integers(0, 40, 3))
        found = measured(chances, rng).correct(counted(truth, chances, 1, rng), 1, rng)
        covered += [one.low <= number <= one.high for one, number in zip(found, truth, strict=True)]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_the_estimate_is_nearer_the_truth_than_the_count() -> None:
    rng, truth = np.random.default_rng(2), (40, 4, 6)
    raw, better = np.zeros(3), np.zeros(3)
    for _ in range(40):
        counts = counted(truth, FEMALE_MALE_TORN, 1, rng)
        raw += np.array(counts) - truth
        better += [one.estimate for one in measured(FEMALE_MALE_TORN, rng).correct(counts, 1, rng)]
        better -= truth
    assert np.abs(better).sum() < 0.5 * np.abs(raw).sum()


def test_where_none_were_the_interval_begins_at_none() -> None:
    rng = np.random.default_rng(3)
    for one in measured(FEMALE_MALE_TORN, rng).correct([0, 0, 0], 1, rng):
        assert one.low == 0
        assert one.estimate < 1.5


def test_a_model_that_errs_never_leaves_the_count_as_it_is() -> None:
    rng, sure = np.random.default_rng(4), np.zeros((3, 3), np.int64)
    sure[0, 0] = sure[1, 1] = 100_000
    for one, count in zip(Correction(sure, 100_000).correct([17, 3], 1, rng), (17, 3), strict=True):
        assert (one.low, one.high) == (count, count)


def test_false_detections_grow_with_the_pictures_looked_at() -> None:
    rng = np.random.default_rng(5)
    correction = measured(FEMALE_MALE_TORN, rng)
    few, many = (correction.correct([20, 5, 5], looks, rng)[0].estimate for looks in (1, 100))
    assert few > 19
    assert many < 15


def test_a_poorer_matrix_gives_a_wider_interval() -> None:
    widths = []
    for instances in (40, 4000):
        rng = np.random.default_rng(6)
        (one, *_) = measured(FEMALE_MALE_TORN, rng, instances).correct([40, 20, 10], 1, rng)
        widths.append(one.high - one.low)
    assert widths[0] > widths[1]


def test_the_same_randomness_gives_the_same_answer() -> None:
    correction = measured(FEMALE_MALE_TORN, np.random.default_rng(7))
    first, second = (correction.correct([3, 2, 1], 1, np.random.default_rng(8)) for _ in range(2))
    assert first == second


def manifest(matrix: Any, *, pictures: int = PICTURES) -> Manifest:
    metrics = Metrics(map50=0.5, map50_95=0.3, classes={}, pictures=pictures, confusion=matrix)
    return Manifest(
        id="model",
        format="onnx",
        precision="float32",
        classes=CLASSES,
        input=InputSpec(name="images", width=64, height=64, layout="NCHW", dtype="float32"),
        head=HeadSpec(kind="decoded", outputs=(OutputSpec(name="output0", role="decoded"),)),
        threshold=0.5,
        metrics=metrics if pictures else None,
    )


GOOD = ((90, 5, 3, 2), (5, 90, 3, 2), (5, 5, 85, 5), (3, 3, 3, 0))


def test_a_bundle_with_a_full_matrix_corrects() -> None:
    assert Correction.of(manifest(GOOD)).confusion.shape == (4, 4)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (manifest(()), "no confusion matrix"),
        (manifest(GOOD, pictures=0), "no confusion matrix"),
        (manifest(((90, 10), (5, 0))), r"matrix is \(2, 2\), its classes are 3"),
        (manifest((GOOD[0], (2, 20, 3, 2), *GOOD[2:])), "27 of class 'Male', fewer than 30"),
        (manifest((GOOD[0], (80, 14, 3, 3), *GOOD[2:])), "nearly the same of 'Female' and 'Male'"),
    ],
)
def test_what_can_not_be_corrected_is_said_with_its_reason(found: Manifest, reason: str) -> None:
    with pytest.raises(BundleError, match=f"model: .*{reason}"):
        Correction.of(found)
