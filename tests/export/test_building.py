"""A build that can't go well is refused, and one that fails leaves its folder as it was."""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from discs import CLASSES, write_discs
from trap_contract.dataset import DataSet
from trap_contract.errors import BundleError, ConfigError, DataError, StoreError
from trap_export import building, onnx
from trap_export.building import Plan, build
from trap_export.provenance import read_provenance


def silent(_: str) -> None:
    """Tell nobody."""


@pytest.fixture
def quick(plan: Plan, tmp_path: Path) -> Plan:
    """The plan with one format only, into a folder that already holds something."""
    out = tmp_path / "out"
    (out / "pupil_int8_openvino").mkdir(parents=True)
    (out / "pupil_float32.onnx").write_bytes(b"an older bundle")
    (out / "pupil_int8_openvino" / "model.xml").write_text("older too")
    return replace(plan, out=out, formats=("onnx",))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError, OSError])
@pytest.mark.parametrize("step", ["write_float", "write_int8"])
def test_a_build_that_fails_leaves_the_folder_as_it_was(
    quick: Plan, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException], step: str
) -> None:
    def fail(*_: object) -> None:
        raise fault

    before = contents(quick.out)
    monkeypatch.setattr(onnx, step, fail)
    with pytest.raises(StoreError if fault is OSError else fault):
        build(quick, silent)
    assert contents(quick.out) == before
    assert {path.name for path in quick.out.iterdir()} == {"pupil_float32.onnx", "pupil_int8_openvino"}


def die_while_measuring(told: str) -> None:
    """As a power cut would have it."""
    if told.startswith("measuring"):
        os.kill(os.getpid(), signal.SIGKILL)


def test_of_a_build_that_is_killed_nobody_sees_a_bundle(quick: Plan) -> None:
    before = contents(quick.out)
    process = multiprocessing.get_context("spawn").Process(target=build, args=(quick, die_while_measuring))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    after = contents(quick.out)
    assert {name: after.pop(name) for name in before} == before
    assert all(name.startswith(".building-") for name in after)


def test_what_a_killed_build_left_is_gone_a_day_later(quick: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    left, running = (quick.out / f".building-{name}" for name in ("left", "running"))
    for folder in (left, running):
        (folder / "onnx").mkdir(parents=True)
    os.utime(left, (0, time.time() - building.ABANDONED_S - 1))
    monkeypatch.setattr(onnx, "write_float", Mock(side_effect=OSError))
    with pytest.raises(StoreError):
        build(quick, silent)
    assert [path for path in (left, running) if path.exists()] == [running]


def test_a_full_disk_is_one_clear_error_and_leaves_the_folder_as_it_was(quick: Plan) -> None:
    before = contents(quick.out)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"out: the build stopped: .*: make room or give another --out"):
            build(quick, silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(quick.out) == before


def test_a_signature_of_the_older_bundle_goes_with_it(quick: Plan) -> None:
    for name in ("pupil_float32.onnx.sig", "pupil_int8_openvino.sig"):
        (quick.out / name).write_text("of the older one")
    build(quick, silent)
    assert {file.name for file in quick.out.glob("*.sig")} == {"pupil_int8_openvino.sig"}


def test_a_build_that_fails_while_measuring_leaves_the_folder_as_it_was(
    quick: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    before = contents(quick.out)
    monkeypatch.setattr(building, "measure", fail)
    with pytest.raises(KeyboardInterrupt):
        build(quick, silent)
    assert contents(quick.out) == before


def test_a_build_replaces_what_an_earlier_one_left(quick: Plan) -> None:
    told: list[str] = []
    paths = [bundle.path for bundle in build(quick, told.append)]
    assert [path.name for path in paths] == ["pupil_float32.onnx", "pupil_int8.onnx"]
    assert paths[0].stat().st_size > 100_000
    assert "measuring pupil_int8.onnx" in told
    assert (quick.out / "pupil_int8_openvino" / "model.xml").read_text() == "older too"


def test_a_folder_that_can_t_be_written_is_one_clear_error(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=f"{out}: can't be written: .*: give another --out"):
            build(replace(plan, out=out), silent)


def test_classes_that_differ_from_the_data_s_are_refused(
    plan: Plan, checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    foreign = checkpoint(names=(*reversed(CLASSES),))
    with pytest.raises(DataError, match=r"pupil\.pt: its classes .* are not .*data\.yaml's"):
        build(replace(plan, weights=foreign, out=tmp_path), silent)
    assert list(tmp_path.iterdir()) == []


def test_too_few_pictures_to_calibrate_are_refused(plan: Plan, tmp_path: Path) -> None:
    data = DataSet.load(write_discs(tmp_path / "few", train=31, val=1))
    with pytest.raises(DataError, match="31 train pictures are too few to calibrate: give at least 32"):
        build(replace(plan, data=data, out=tmp_path / "out"), silent)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_network_that_is_no_detector_is_refused(plan: Plan, tmp_path: Path) -> None:
    from ultralytics import YOLO

    file = tmp_path / "classifier.pt"
    (tmp_path / "net.yaml").write_text(
        "nc: 5\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\nhead:\n  - [-1, 1, Classify, [nc]]\n"
    )
    model = YOLO(str(tmp_path / "net.yaml"), task="classify")
    model.ckpt = {}
    model.save(str(file))
    with pytest.raises(BundleError, match=r"classifier\.pt: its head is Classify; only v8"):
        build(replace(plan, weights=file, out=tmp_path / "out"), silent)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"], ids=len)
def test_a_corrupt_checkpoint_is_refused(plan: Plan, tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "broken.pt"
    file.write_bytes(damage)
    with pytest.raises(BundleError, match=r"broken\.pt: not a checkpoint that Ultralytics can read"):
        build(replace(plan, weights=file, out=tmp_path / "out"), silent)


def test_a_missing_checkpoint_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"gone\.pt: no such checkpoint"):
        build(replace(plan, weights=tmp_path / "gone.pt", out=tmp_path / "out"), silent)


def test_an_input_that_is_no_multiple_of_the_stride_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="input 72x64 px must be a multiple of its stride 16"):
        build(replace(plan, width=72, out=tmp_path), silent)


REPORT = (
    '{"recipe": {"name": "tiny", "imgsz": 64, "seed": 5, "teacher": {"model": "yolov8s.yaml", "epochs": 7}, '
    '"student": {"model": "yolov8n.yaml", "epochs": 9}, "distillation": null}}'
)


def test_provenance_is_read_from_the_report_of_the_training(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(REPORT)
    known = read_provenance(file)
    assert (known.seed, known.teacher) == (5, "yolov8s.yaml")
    assert known.recipe["student.epochs"] == 9
    assert known.recipe["distillation"] is None


def test_the_terms_of_a_distillation_are_part_of_the_provenance(tmp_path: Path) -> None:
    terms = '{"scheme": "offline", "terms": [{"term": "response"}, {"term": "pkd", "levels": [3, 4]}]}'
    (tmp_path / "report.json").write_text(REPORT.replace('"distillation": null', f'"distillation": {terms}'))
    recipe = read_provenance(tmp_path / "report.json").recipe
    assert recipe["distillation.terms.1.term"] == "pkd"
    assert recipe["distillation.terms.1.levels.0"] == 3


def test_without_a_report_nothing_is_known() -> None:
    assert read_provenance(None).seed is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"recipe": 5}', REPORT.replace("5", '"five"')])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"report\.json: not a report of trap-train"):
        read_provenance(file)
