"""Which pictures show the same thing: a perceptual hash proposes pairs, the detail of both pictures confirms them.

A hash alone can't: it sees the light on a board, and two nearly empty boards have the same. On tiles of one
photographed trap (trapboard) it proposes 32 pairs of different days, whose details correlate by at most 0.89; on
stickytrap, which holds some photographs twice, it proposes 59 right pairs, of which 58 correlate by 0.95 or more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from trap_contract.pictures import read_picture

MAX_DISTANCE = 6
"""Bits of 64 in which the hashes of one scene may differ."""

SAME_DETAIL = 0.93
"""Correlation above which the details of two pictures are the same scene."""

_SIDE, _FREQUENCIES = 32, 8
_PLAIN = 0.5  # grey levels: below this, detail is noise and compression
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a picture: a 64-bit hash, and its detail as a (1024,) vector of length 1, or 0 if it is plain."""

    digest: np.uint64
    detail: NDArray[np.float32]


def look_at(pixels: NDArray[np.uint8]) -> Look:
    """The look of (H, W, 3) BGR pixels.

    The hash is pHash (Zauner 2010): which of the lowest 8x8 cosine frequencies are above their median.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_FREQUENCIES, :_FREQUENCIES].ravel()
    digest = np.packbits(low > np.median(low[1:])).view(np.uint64)[0]
    return Look(digest, _detail(small))


def alike(looks: list[Look]) -> Iterator[tuple[int, list[int]]]:
    """For each look with earlier ones of the same scene: its place, and theirs.

    Hashes are compared in blocks, and only columns with a candidate are correlated: 20,000 pictures take seconds.
    """
    digests = np.array([look.digest for look in looks], np.uint64)
    details = np.array([look.detail for look in looks], np.float32).reshape(-1, _SIDE**2)
    for start in range(0, len(looks), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(looks)))
        near = np.bitwise_count(digests[rows, None] ^ digests[None, : rows[-1]]) <= MAX_DISTANCE
        near &= np.arange(rows[-1]) < rows[:, None]
        columns = np.flatnonzero(near.any(axis=0))
        same = near[:, columns] & (details[rows] @ details[columns].T >= SAME_DETAIL)
        yield from ((int(rows[place]), columns[same[place]].tolist()) for place in np.flatnonzero(same.any(axis=1)))


def apart_from(pictures: list[Path], others: list[Path]) -> list[Path]:
    """The pictures that show no scene of the others. Raises DataError for one that can't be read."""
    looks = [look_at(read_picture(picture)) for picture in [*others, *pictures]]
    count = len(others)
    seen = {place for place, earlier in alike(looks) if place >= count > min(earlier)}
    return [picture for place, picture in enumerate(pictures, count) if place not in seen]


def _detail(small: NDArray[np.float32]) -> NDArray[np.float32]:
    fine = small - cv2.GaussianBlur(small, (0, 0), 1)
    fine -= fine.mean()
    length = float(np.linalg.norm(fine))
    return np.asarray(fine.ravel() / length if length >= _PLAIN * _SIDE else np.zeros(fine.size), np.float32)
