"""Pictures of one scene are found however they were saved; pictures of one board with other insects are not."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from trap_contract.pictures import read_picture
from trap_scene import render_picture
from trap_training.pictures.resemblance import MAX_DISTANCE, Look, alike, apart_from, look_at

Pixels = NDArray[np.uint8]
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BOARDS, STICKY = DATA / "trapboard" / "images" / "train", DATA / "stickytrap" / "images" / "train"


def scene(seed: int) -> Pixels:
    return render_picture(np.random.default_rng(seed), 128, 128).pixels


def pairs(*pictures: Pixels) -> list[tuple[int, list[int]]]:
    return list(alike([look_at(picture) for picture in pictures]))


def saved_as_jpeg(pixels: Pixels) -> Pixels:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)


def halved(pixels: Pixels) -> Pixels:
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def darker(pixels: Pixels) -> Pixels:
    return cv2.convertScaleAbs(pixels, alpha=0.85)


@pytest.mark.parametrize("change", [saved_as_jpeg, halved, darker])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_scene_is_found_however_it_was_saved(change: Callable[[Pixels], Pixels], seed: int) -> None:
    assert pairs(scene(seed), change(scene(seed))) == [(1, [0])]


def test_other_scenes_are_not_alike() -> None:
    assert pairs(*(scene(seed) for seed in range(12))) == []


def test_every_earlier_picture_of_a_scene_is_named() -> None:
    one, other = scene(1), scene(2)
    assert pairs(one, other, saved_as_jpeg(one), saved_as_jpeg(other), darker(one)) == [
        (2, [0]),
        (3, [1]),
        (4, [0, 2]),
    ]


def test_pictures_that_show_a_scene_of_others_are_left_out(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.png" for name in ("val", "same", "other", "other_again")}
    seen = (scene(1), darker(scene(1)), scene(2), darker(scene(2)))
    for file, pixels in zip(files.values(), seen, strict=True):
        cv2.imwrite(str(file), pixels)
    others = [files["other"], files["other_again"]]
    assert apart_from([files["same"], *others], [files["val"]]) == others


@pytest.mark.skipif(not BOARDS.is_dir(), reason=f"{BOARDS} is not here")
def test_boards_of_one_trap_on_other_days_are_not_alike_though_their_hashes_are() -> None:
    boards = [look_at(read_picture(file)) for file in sorted(BOARDS.glob("*.jpg"))]
    digests = np.array([board.digest for board in boards])
    near = np.bitwise_count(digests[:, None] ^ digests) <= MAX_DISTANCE
    assert np.triu(near, 1).sum() > 10
    assert list(alike(boards)) == []


@pytest.mark.skipif(not STICKY.is_dir(), reason=f"{STICKY} is not here")
def test_a_photograph_that_was_uploaded_twice_is_found() -> None:
    uploads = ("445c7c134d822435761c8c67d060c34", "a511f4b6b430359493c5bbb7a1ecea0d")
    found = [file for file in sorted(STICKY.glob("IMG_0398_*_272_816.jpg")) if any(up in file.name for up in uploads)]
    assert pairs(*(read_picture(file) for file in found)) == [(1, [0])]


def test_plain_pictures_are_never_alike() -> None:
    assert pairs(*(np.full((50, 50, 3), shade, np.uint8) for shade in (0, 0, 90, 91))) == []


def test_pairs_are_found_across_the_blocks_they_are_compared_in() -> None:
    rng = np.random.default_rng(0)
    details = rng.normal(size=(1300, 1024)).astype(np.float32)
    details /= np.linalg.norm(details, axis=1, keepdims=True)
    details[1250] = details[600] = details[3]
    looks = [Look(np.uint64(5), detail) for detail in details]
    assert list(alike(looks)) == [(600, [3]), (1250, [3, 600])]


def test_nothing_is_alike_in_nothing() -> None:
    assert list(alike([])) == []
