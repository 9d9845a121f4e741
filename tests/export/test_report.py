"""What a build reports, and how costs and agreement are measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from discs import CLASSES
from trap_contract.detections import Detections
from trap_contract.errors import BundleError
from trap_export.agreement import agree
from trap_export.building import Plan
from trap_export.costs import WARM_UP, interleaved, peak_memory
from trap_export.evaluation import Scored
from trap_export.samples import spread


def test_runs_take_turns_and_the_warm_up_is_not_kept() -> None:
    calls: list[str] = []
    ticks = iter(range(10_000))
    runs = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    samples = interleaved(runs, 4, lambda: float(next(ticks)))
    assert [len(row) for row in samples.values()] == [4, 4, 4]
    assert all(row.tolist() == [1, 1, 1, 1] for row in samples.values())
    rounds = ["".join(calls[at : at + 3]) for at in range(0, len(calls), 3)]
    assert len(rounds) == WARM_UP + 4
    assert set(rounds) == {"abc", "bca", "cab"}


def test_memory_is_measured_in_a_fresh_process(bundles: dict[str, Path], tmp_path: Path) -> None:
    ours = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    assert 20e6 < peak_memory(bundles["onnx-int8"]) < ours  # torch is not in it
    with pytest.raises(BundleError, match=r"gone\.onnx: does not run in a process of its own"):
        peak_memory(tmp_path / "gone.onnx")


def found(*rows: tuple[float, float, int]) -> Scored:
    """Boxes of 10 px by left edge, score and class."""
    table = np.array(rows, np.float32).reshape(-1, 3)
    boxes = np.stack([table[:, 0], 0 * table[:, 0], table[:, 0] + 10, 0 * table[:, 0] + 10], axis=1)
    return Scored(Detections(boxes, table[:, 1], table[:, 2].astype(np.int64)), Detections.empty())


def test_agreement_pairs_what_both_found_and_counts_the_rest() -> None:
    network = [found((0, 0.9, 0), (50, 0.8, 1), (100, 0.7, 1), (150, 0.1, 0))]
    file = [found((1, 0.8, 0), (50, 0.8, 0), (200, 0.9, 2))]
    agreement = agree(network, file, threshold=0.5, iou=0.5)
    assert agreement.pairs == (pytest.approx((0.9, 0.8, 9 / 11)),)
    assert (agreement.lost, agreement.new) == (2, 2)
    assert agreement.mean_score_change == pytest.approx(0.1)
    assert agreement.overlap_histogram()[6] == 1


def test_without_a_find_nothing_is_claimed() -> None:
    agreement = agree([found()], [found()], threshold=0.5, iou=0.5)
    assert (agreement.pairs, agreement.mean_overlap, agreement.lost) == ((), 0.0, 0)


def test_samples_are_spread_over_all_pictures() -> None:
    assert spread(24, 4) == [0, 8, 15, 23]
    assert spread(2, 4) == [0, 1]


def test_the_reports_show_every_bundle_and_class(bundles: dict[str, Path], plan: Plan) -> None:
    texts = [(plan.out / name).read_text() for name in ("report.md", "report.html")]
    for text in texts:
        assert all(path.name in text for path in bundles.values())
        assert all(name in text for name in CLASSES)
    lines = [line for line in texts[0].splitlines() if line.startswith("|")]
    tables = "\n".join(lines)
    assert re.search(r"\| pupil_int8\.tflite \| 0\.\d{4} \| 0\.\d{4} \| \d+\.\d\d \|", tables)
    int8 = [name for name in bundles if name.endswith("int8")]
    assert texts[1].count("<img ") == 4 * (1 + len(int8))
    assert texts[1].count("<svg ") == len(bundles)
    assert "://" not in texts[1]


def test_the_report_for_programs_has_costs_and_agreement(bundles: dict[str, Path], plan: Plan) -> None:
    report = json.loads((plan.out / "report.json").read_text())
    for row in report.values():
        times = row["latency_ms"]
        assert 0 < times["p50"] <= times["p95"] <= times["p99"]
        assert row["peak_memory_bytes"] > 20e6
        assert row["agreement"]["pairs"] > 0
        assert 0.5 <= row["agreement"]["mean_overlap"] <= 1
