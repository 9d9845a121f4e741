"""The two slots on disk: STATE_DIR/models/a and b, and slots.json, which says what is active."""

import fcntl
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from trap_contract.detector import Detector
from trap_contract.errors import BundleError, ConfigError, StoreError
from trap_contract.golden import check_golden
from trap_contract.letterbox import Pixels
from trap_contract.logs import log
from trap_contract.signature import content_digest, load_public_key, signature_file, verify_bundle, verify_integrity

from trap_agent.settings import AgentSettings
from trap_agent.sinks import Sink
from trap_agent.statefile import read_state, sync, write_state
from trap_agent.trial import Slots, emptied, installed, observed, other, rolled_back, started
from trap_agent.windows import Draft

INSTALLED: Final = Path("installed")
"""In place of a file: the bundle that is active in the slots."""

_BOARDS = 3
_BOARD_PX = 320
_MOST_ON_GREY = 20
_SATURATED = 300


class SlotFolder:
    """The slots of one state folder; every change is one step, and other processes wait for it."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "models"
        self._file = self._folder / "slots.json"

    def read(self) -> Slots:
        """What lies where now."""
        return read_state(self._file, Slots) or Slots()

    def active_bundle(self) -> Path:
        """Where the active bundle is. Raises BundleError when there is none."""
        slots = self.read()
        if slots.active is None:
            raise BundleError(f"{self._folder}: no bundle is installed: run trap-agent models install FILE")
        return self._folder / slots.active / slots.bundles[slots.active]

    def change(self, step: Callable[[Slots], Slots]) -> Slots:
        """Take a step and keep it; says in the log what became of a trial."""
        with self._locked():
            before = self.read()
            after = step(before)
            if after != before:
                write_state(self._file, after)
        if after.outcome != before.outcome and after.outcome:
            log.warning("models", outcome=after.outcome)
        return after

    def install(self, bundle: Path, trusted: Collection[str] | None) -> str:
        """Copy a bundle into the inactive slot, check it there, and make it active, on trial; what was checked.

        Raises BundleError when a check fails; the active bundle then stays.
        """
        slots = self.read()
        if slots.trial is not None:
            raise ConfigError("a trial is running: wait for its end, or run trap-agent models rollback")
        slot = other(slots.active)
        self.change(lambda now: emptied(now, slot))  # before its files are touched
        copy = _copied(bundle, self._folder / slot)
        signed = _checked_signature(bundle, copy, trusted)
        seen = check_plausible(copy)
        self.change(lambda now: installed(now, copy.name))
        return f"{signed}; {seen}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StoreError(f"{self._folder}: {error.strerror}: give another --state-dir") from error


def bundle_path(settings: AgentSettings) -> Path:
    """The bundle that these settings name. Raises BundleError when none is installed."""
    return SlotFolder(settings.state_dir).active_bundle() if settings.model == INSTALLED else settings.model


def load_bundle(settings: AgentSettings) -> Detector:
    """The detector that these settings name.

    Raises BundleError when it can't be used, or is not signed by whom the settings trust.
    """
    path = bundle_path(settings)
    if settings.trust is not None:
        verify_bundle(path, {load_public_key(settings.trust)})
    return Detector.load(path, settings.threads, settings.threshold, tiled=settings.tile is not None)


class TrialSink:
    """Hands windows on, and tells the slots how they were; `restart` is called when the bundle was rolled back."""

    def __init__(self, sink: Sink, folder: SlotFolder, restart: Callable[[], None]) -> None:
        self._sink = sink
        self._folder = folder
        self._restart = restart
        self._is_on_trial = folder.read().trial is not None

    def accept(self, draft: Draft) -> None:
        """Hand it on first: a count is worth more than a trial."""
        self._sink.accept(draft)
        if not self._is_on_trial:
            return
        told = draft.keywords
        before = self._folder.read().active
        try:
            after = self._folder.change(lambda now: observed(now, told["effort"], told.get("latency_ms")))
        except StoreError as error:
            log.warning("a window of the trial is not judged", error=str(error))
            return
        self._is_on_trial = after.trial is not None
        if after.active != before:
            self._restart()


def begin(folder: SlotFolder) -> Path:
    """The bundle to load at the agent's start, which is counted while it is on trial."""
    if folder.read().trial is not None:
        try:
            folder.change(started)
        except StoreError as error:
            log.error("the trial goes on, and this start of it is not noted", error=str(error))
    return folder.active_bundle()


def on_trial(sink: Sink, settings: AgentSettings, restart: Callable[[], None]) -> Sink:
    """The sink for an agent with these settings: with installed bundles one that judges them."""
    return TrialSink(sink, SlotFolder(settings.state_dir), restart) if settings.model == INSTALLED else sink


def roll_back(folder: SlotFolder) -> Slots:
    """Return to the bundle before. Raises ConfigError when there is none."""
    slots = folder.read()
    if slots.active is None or other(slots.active) not in slots.bundles:
        raise ConfigError("there is no other bundle to return to: install one")
    return folder.change(lambda now: rolled_back(now, "asked for by hand"))


def check_plausible(bundle: Path) -> str:
    """Run a bundle on its golden pictures, on drawn boards and on a plain grey picture; what was seen.

    Checked is that it loads and runs, that it finds in the golden pictures what it found when it was built, that every
    box lies in its picture with a score in 0..1, that no picture has as many boxes as decoding allows, and that plain
    grey has few. A bundle without golden pictures (a stock export) is not checked for counting rightly.
    Raises BundleError.
    """
    detector = Detector.load(bundle)
    golden = check_golden(detector, str(bundle))
    counts = [_sane_count(detector, pixels, bundle) for pixels in drawn_boards()]
    on_grey = _sane_count(detector, np.full((_BOARD_PX, _BOARD_PX, 3), 114, np.uint8), bundle)
    if on_grey > _MOST_ON_GREY:
        raise BundleError(f"{bundle}: sees {on_grey} insects in a plain grey picture: export it again")
    known = f"finds what it should in {golden} golden pictures" if golden else "has no golden pictures"
    return f"{known}; ran on {_BOARDS} drawn boards ({', '.join(map(str, counts))} boxes) and a grey one ({on_grey})"


def drawn_boards() -> list[Pixels]:
    """Boards with insects, always the same."""
    from trap_scene import render_board

    return [render_board(np.random.default_rng(seed), _BOARD_PX, _BOARD_PX, 6).pixels for seed in range(_BOARDS)]


def _sane_count(detector: Detector, pixels: Pixels, bundle: Path) -> int:
    found = detector.detect(pixels)
    is_inside = bool(np.all((found.boxes >= 0) & (found.boxes <= _BOARD_PX)))
    is_score = bool(np.all((found.scores >= 0) & (found.scores <= 1)))
    if not (is_inside and is_score) or len(found) >= _SATURATED:
        raise BundleError(f"{bundle}: gives {len(found)} boxes that make no sense on a drawn board: export it again")
    return len(found)


def _copied(bundle: Path, folder: Path) -> Path:
    copy = folder / bundle.name
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if bundle.is_dir():
            shutil.copytree(bundle, copy)
        else:
            shutil.copyfile(bundle, copy)
        if signature_file(bundle).exists():
            shutil.copyfile(signature_file(bundle), signature_file(copy))
        for path in (*folder.rglob("*"), folder):
            sync(path)
    except FileNotFoundError as error:
        raise BundleError(f"{bundle}: no such model") from error
    except OSError as error:
        raise StoreError(f"{folder}: {bundle} can't be copied there: {error}: check the card and its space") from error
    return copy


def _checked_signature(bundle: Path, copy: Path, trusted: Collection[str] | None) -> str:
    if content_digest(bundle) != content_digest(copy):
        raise BundleError(f"{copy}: is not what {bundle} is: the card may be failing")
    if trusted is not None:
        return f"signed by trusted key {verify_bundle(copy, trusted).key[:16]}"
    if signature_file(copy).exists():
        return f"unaltered since key {verify_integrity(copy).key[:16]} signed it, which nobody here vouches for"
    return "unsigned"
