"""Stored views: the same for a seed whatever happened before, whole or absent, read as a trainer reads pictures."""

import errno
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from trap_contract.dataset import DataSet
from trap_contract.errors import StoreError
from trap_training.views import ViewDataset, ViewStore, allocated
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.dataset import YOLODataset

SIDE, PICTURES, EPOCHS = 64, 6, 3


@pytest.fixture(scope="module")
def few_discs(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of six pictures."""
    file = tmp_path_factory.mktemp("few") / "train.txt"
    file.write_text("\n".join(map(str, DataSet.load(discs).pictures("train")[:PICTURES])))
    return file


@pytest.fixture
def hyp(quiet: None) -> Any:
    return get_cfg(overrides={"imgsz": SIDE, "mosaic": 1.0, "close_mosaic": 1, "task": "detect"})


@pytest.fixture
def base(few_discs: Path, hyp: Any) -> YOLODataset:
    return dataset(few_discs, hyp)


def dataset(pictures: Path, hyp: Any) -> YOLODataset:
    names = {"names": dict(enumerate("abcde")), "channels": 3}
    return build_yolo_dataset(hyp, str(pictures), 2, names, mode="train")


def scramble(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def test_views_depend_on_their_seed_and_on_nothing_before(few_discs: Path, hyp: Any, tmp_path: Path):
    stores = []
    for number, seed in enumerate((7, 7, 8)):
        scramble(number)
        stores.append(ViewStore.opened(tmp_path / str(number), dataset(few_discs, hyp), hyp, EPOCHS, seed))
    first, second, other = stores
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.boxes, second.boxes)
    assert not np.array_equal(first.pixels, other.pixels)


def test_making_views_leaves_the_global_generators_alone(base: YOLODataset, hyp: Any, tmp_path: Path):
    scramble(5)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    scramble(5)
    ViewStore.opened(tmp_path / "views", base, hyp, EPOCHS, 0)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_every_epoch_sees_every_picture_otherwise(base: YOLODataset, hyp: Any, tmp_path: Path):
    store = ViewStore.opened(tmp_path / "views", base, hyp, EPOCHS, 0)
    assert len(store) == EPOCHS * PICTURES
    assert store.pixels.shape == (EPOCHS * PICTURES, 3, SIDE, SIDE)
    assert len({view.tobytes() for view in store.pixels}) == len(store)


@pytest.mark.parametrize(("close_mosaic", "with_mosaic"), [(0, 3), (1, 2), (2, 1), (9, 0)])
def test_mosaics_end_before_the_last_epochs(
    base: YOLODataset, hyp: Any, tmp_path: Path, close_mosaic: int, with_mosaic: int
):
    hyp.close_mosaic = close_mosaic
    calls = []
    close = base.close_mosaic
    base.close_mosaic = lambda given: (calls.append(len(list((tmp_path / "views").glob("*")))), close(given))
    store = ViewStore.opened(tmp_path / "views", base, hyp, EPOCHS, 0)
    boxes = [len(store.sample(view)["cls"]) for view in range(len(store))]
    per_epoch = np.reshape(boxes, (EPOCHS, PICTURES)).sum(axis=1)
    plain = sum(len(label["cls"]) for label in base.labels)
    assert len(calls) == (1 if close_mosaic else 0)
    assert (per_epoch > plain).tolist() == [True] * with_mosaic + [False] * (EPOCHS - with_mosaic)


def test_the_callers_settings_keep_their_mosaic(base: YOLODataset, hyp: Any, tmp_path: Path):
    ViewStore.opened(tmp_path / "views", base, hyp, EPOCHS, 0)
    assert hyp.mosaic == 1.0


def test_views_that_are_there_are_not_made_again(base: YOLODataset, hyp: Any, tmp_path: Path):
    made = ViewStore.opened(tmp_path / "views", base, hyp, EPOCHS, 0)
    unable = SimpleNamespace(labels=base.labels, __len__=None)
    again = ViewStore.opened(tmp_path / "views", [unable] * PICTURES, hyp, EPOCHS, 0)  # type: ignore[arg-type]
    assert np.array_equal(made.pixels, again.pixels)


def test_an_interrupted_store_is_made_anew(few_discs: Path, hyp: Any, tmp_path: Path):
    class PowerError(Exception):
        pass

    class Failing(YOLODataset):
        read = 0

        def __getitem__(self, place: int) -> Any:
            Failing.read += 1
            if Failing.read > PICTURES:
                raise PowerError
            return super().__getitem__(place)

    whole = ViewStore.opened(tmp_path / "whole", dataset(few_discs, hyp), hyp, EPOCHS, 0)
    failing = dataset(few_discs, hyp)
    failing.__class__ = Failing
    with pytest.raises(PowerError):
        ViewStore.opened(tmp_path / "views", failing, hyp, EPOCHS, 0)
    store = ViewStore.opened(tmp_path / "views", dataset(few_discs, hyp), hyp, EPOCHS, 0)
    assert np.array_equal(store.pixels, whole.pixels)
    assert np.array_equal(store.boxes, whole.boxes)


def test_a_full_disk_is_one_clear_error_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(StoreError, match=r"pixels\.npy: no room for 2\.0 GB of stored views .No space left"):
        allocated(tmp_path / "pixels.npy", (2, 1_000_000_000), np.dtype(np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_room_is_taken_before_anything_is_written(tmp_path: Path):
    array = allocated(tmp_path / "a.npy", (1000, 1000), np.dtype(np.float16))
    status = (tmp_path / "a.npy").stat()
    assert status.st_blocks * 512 >= 2_000_000
    array[...] = 3
    array.flush()
    assert np.load(tmp_path / "a.npy").sum(dtype=np.float64) == 3_000_000


def test_a_trainer_reads_views_as_it_reads_pictures(base: YOLODataset, hyp: Any, tmp_path: Path):
    store = ViewStore.opened(tmp_path / "views", base, hyp, EPOCHS, 0)
    views = ViewDataset(base, store)
    batch = views.collate_fn([views[place] for place in (2, 0)])
    counts = [len(store.sample(view)["cls"]) for view in (2, 0)]
    assert batch["img"].shape == (2, 3, SIDE, SIDE)
    assert batch["img"].dtype == torch.uint8
    assert batch["view"] == (2, 0)
    assert batch["batch_idx"].tolist() == [0.0] * counts[0] + [1.0] * counts[1]
    assert batch["bboxes"].shape == (sum(counts), 4)
    assert batch["cls"].shape == (sum(counts), 1)
    assert set(base[0]) - set(batch) <= {"ori_shape", "resized_shape", "ratio_pad"}


def test_the_epoch_chooses_the_views_and_begins_again_after_the_last(base: YOLODataset, hyp: Any, tmp_path: Path):
    views = ViewDataset(base, ViewStore.opened(tmp_path / "views", base, hyp, EPOCHS, 0))
    assert len(views) == PICTURES
    found = []
    for epoch in (0, 2, 4):
        views.epoch = epoch
        found.append(views[1]["view"])
    assert found == [1, 2 * PICTURES + 1, PICTURES + 1]
