"""Can the camera still see? Sharpness and brightness of its pictures, judged against those at install.

A trap's first good pictures are the reference, kept in the state folder for this source; delete lens.json after
cleaning or refocusing to take a new one.
"""

import statistics
import threading
from collections import deque
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from trap_contract.errors import StoreError
from trap_contract.logs import log
from trap_contract.vision import cv2

from trap_agent.statefile import read_state, write_state

Verdict = Literal["clear", "blurred", "dark", "overexposed"]

DARK, BRIGHT = 8.0, 247.0
"""Mean pixel values below and above which a picture shows nothing."""
BLURRED = 0.4
"""Share of the reference's sharpness below which the lens is dirty, misted or out of focus."""
FILE_NAME = "lens.json"

_EVERY_S = 5.0
_STALE_S = 60.0
_WIDTH = 640
"""px at which sharpness is taken, so that it does not depend on a camera's resolution alone."""
_RECENT = 5
_REFERENCE_READINGS = 10


class Reading(BaseModel):
    """Variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) and mean of the grey picture."""

    sharpness: float = Field(ge=0, allow_inf_nan=False)
    brightness: float = Field(ge=0, le=255, allow_inf_nan=False)


class Reference(Reading):
    """What a source's pictures were like at install."""

    source: str


def read_picture_quality(pixels: NDArray[np.uint8]) -> Reading:
    """Measure one BGR picture (H, W, 3)."""
    height, width = pixels.shape[:2]
    if width > _WIDTH:
        pixels = np.asarray(
            cv2.resize(pixels, (_WIDTH, max(1, height * _WIDTH // width)), interpolation=cv2.INTER_AREA)
        )
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return Reading(sharpness=float(cv2.Laplacian(grey, cv2.CV_64F).var()), brightness=float(grey.mean()))


def shows_nothing(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture (H, W, 3) is dark or overexposed, by every 16th px: a zero in it would mean nothing."""
    sample = pixels[::16, ::16]
    return not DARK * sample.size <= int(sample.sum()) <= BRIGHT * sample.size


def median_of(readings: list[Reading]) -> Reading:
    """The middle one, in each value; `readings` must not be empty."""
    return Reading(
        sharpness=statistics.median(reading.sharpness for reading in readings),
        brightness=statistics.median(reading.brightness for reading in readings),
    )


def judge(now: Reading, reference: Reading | None) -> Verdict | None:
    """What is wrong; None when nothing is, and there is no reference to tell sharp from blurred."""
    if now.brightness < DARK:
        return "dark"
    if now.brightness > BRIGHT:
        return "overexposed"
    if reference is None:
        return None
    return "blurred" if now.sharpness < BLURRED * reference.sharpness else "clear"


class Lens:
    """The last readings of one source, and its reference; safe to use from several threads."""

    def __init__(self, folder: Path, source: str) -> None:
        self._file = folder / FILE_NAME
        self._source = source
        self._mutex = threading.Lock()
        self._recent: deque[Reading] = deque(maxlen=_RECENT)
        self._first: list[Reading] = []
        self._next_s = 0.0
        kept = read_state(self._file, Reference)
        self._reference = kept if kept and kept.source == source else None

    def look(self, pixels: NDArray[np.uint8], mono_s: float) -> None:
        """Measure this picture if it is time to."""
        if mono_s < self._next_s:
            return
        self._next_s = mono_s + _EVERY_S
        reading = read_picture_quality(pixels)
        with self._mutex:
            self._recent.append(reading)
        if self._reference is None and DARK <= reading.brightness <= BRIGHT:
            self._first.append(reading)
            if len(self._first) == _REFERENCE_READINGS:
                self._keep_reference()

    def state(self, mono_s: float) -> tuple[Reading | None, Verdict | None]:
        """The median of the last readings, and what it means; None where nothing was seen for a minute."""
        with self._mutex:
            recent = list(self._recent)
        if not recent or mono_s > self._next_s + _STALE_S:
            return None, None
        now = median_of(recent)
        return now, judge(now, self._reference)

    def _keep_reference(self) -> None:
        self._reference = Reference(source=self._source, **median_of(self._first).model_dump())
        try:
            write_state(self._file, self._reference)
        except StoreError as error:
            log.error("lens reference not kept, it lasts until the agent ends", error=str(error))
