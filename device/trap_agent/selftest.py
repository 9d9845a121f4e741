"""What a technician asks of a trap before leaving it: does everything work, and if not, what is the next step."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from trap_contract.bundle import bundle_digest, read_manifest
from trap_contract.errors import ConfigError, DeliveryError, MessageError, SourceError, StoreError, ZancudoError
from trap_contract.messages import Ack, CountBatch, Effort, Gap, ModelRef, State, Window, parse_message
from trap_contract.pictures import list_pictures, read_picture
from trap_contract.signature import signature_file, verify_integrity
from trap_contract.topics import ACK, COUNTS

from trap_agent.clock import Clock, SystemClock, kernel_boot_id
from trap_agent.counting import Pixels, analyse
from trap_agent.feeds import open_feed
from trap_agent.lens import BRIGHT, DARK
from trap_agent.outbox import Outbox
from trap_agent.session import UNHEARD, Session
from trap_agent.settings import AgentSettings
from trap_agent.sinks import new_boot
from trap_agent.slots import bundle_path, load_bundle
from trap_agent.sources import open_source, shown
from trap_agent.windows import Draft

FRAME_WITHIN_S = 10.0
ACKNOWLEDGED_WITHIN_S = 10.0
LEAST_FREE_MB = 100

_OWN_MS = 1000


@dataclass(frozen=True, slots=True)
class Result:
    """One check: what was seen, or what is wrong and the next step."""

    name: str
    is_good: bool
    text: str


Check = Callable[[], str]
"""Says what it saw; raises a ZancudoError, with the next step in its text, when that is not good."""


def run_checks(checks: Mapping[str, Check]) -> Iterator[Result]:
    """Run each in turn; a failing one stops none of the others."""
    for name, check in checks.items():
        try:
            yield Result(name, is_good=True, text=check())
        except (ZancudoError, OSError) as error:
            yield Result(name, is_good=False, text=str(error))


def all_checks(settings: AgentSettings) -> dict[str, Check]:
    """What is to be checked, by name."""
    clock = SystemClock()
    return {
        "camera": partial(check_camera, settings, clock),
        "model": partial(check_model, settings),
        "clock": partial(check_clock, clock),
        "disk": partial(check_disk, settings.state_dir),
        "outbox": partial(check_outbox, settings, clock),
        "broker": partial(check_broker, settings, clock),
    }


def check_camera(settings: AgentSettings, clock: Clock) -> str:
    """A frame comes, can be read, and shows something; a watched folder's newest picture does, and is not used up."""
    kind, _, rest = settings.source.partition(":")
    if kind == "watch":
        return _check_watched(Path(rest))
    source, place = open_source(settings.source, settings.fps, clock, settings.state_dir), shown(settings.source)
    feed = open_feed(source, clock, np.random.default_rng())
    try:
        frame = feed.take(FRAME_WITHIN_S).frame
    finally:
        feed.close()
    if frame is None or frame.pixels is None:
        fault = f"no frame within {FRAME_WITHIN_S:.0f} s" if frame is None else "a frame came that can't be read"
        raise SourceError(f"{place}: {fault}: check its cable and power, or whether the file is whole")
    return _described(place, frame.pixels)


def _check_watched(folder: Path) -> str:
    try:
        newest = max(list_pictures(folder), key=lambda file: file.stat().st_mtime_ns, default=None)
    except OSError as error:
        raise SourceError(f"watch:{folder} can't be read: {error.strerror}: make or mount it") from error
    if newest is None:
        return f"watch:{folder} can be read, no picture is there yet"
    return _described(f"watch:{folder}, {newest.name}", read_picture(newest))


def _described(place: str, pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    brightness = float(pixels.mean())
    if not DARK <= brightness <= BRIGHT:
        fault = "dark: check the lamp and the lens cap" if brightness < DARK else "white: check exposure and lamp"
        raise SourceError(f"{place}: the picture is {fault}")
    return f"{place}: {width}x{height} px, brightness {brightness:.0f} of 255"


def check_model(settings: AgentSettings) -> str:
    """The bundle opens and runs; whether it is unaltered since it was signed, if it was."""
    path, detector = bundle_path(settings), load_bundle(settings)
    spec = detector.manifest.input
    grey = np.full((spec.height, spec.width, 3), spec.letterbox_fill, np.uint8)
    analyse(detector, grey, None)  # the first run allocates
    latency_ms = analyse(detector, grey, None).latency_ms
    signed = "unsigned"
    if signature_file(path).exists():
        signed = f"signed by key {verify_integrity(path).key[:16]}{', trusted' if settings.trust else ''}"
    what = f"{detector.manifest.id} {detector.manifest.precision}, {detector.backend}"
    return f"{what}, {latency_ms:.0f} ms a picture, sha256 {detector.sha256[:16]}, {signed}"


def check_clock(clock: Clock) -> str:
    """The kernel's clock is disciplined."""
    now = clock.now()
    utc = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now.wall_ms / 1000))
    if not now.is_synced:
        raise ConfigError(
            f"{utc}, but nothing vouches for it: let chrony or systemd-timesyncd reach a time server, or fit a clock "
            "with a battery; until then windows say that their time is not to be trusted"
        )
    return f"{utc}, synchronised"


def check_disk(folder: Path) -> str:
    """The state folder is on a disk that takes and keeps what is written, with room."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise StoreError(f"{folder}: the disk is read-only, perhaps after an error: look at dmesg, change the card")
        probe = folder / f".selftest-{secrets.token_hex(4)}"
        with probe.open("wb") as file:
            probe.unlink()
            file.write(secrets.token_bytes(4096))
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{folder}: can't be written: {error.strerror}: give this user a --state-dir") from error
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < LEAST_FREE_MB:
        raise StoreError(f"{folder}: only {free_mb} MB are free, {LEAST_FREE_MB} are needed: remove what can go")
    return f"{folder}: written and synced, {free_mb} MB free"


def check_outbox(settings: AgentSettings, clock: Clock) -> str:
    """The outbox opens, is this trap's, and no other agent uses it."""
    with closing(_outbox(settings, clock)) as outbox:
        if not outbox.is_on_disk:
            raise StoreError(f"{settings.state_dir}: the disk takes nothing, windows would wait in memory: free some")
        return f"{outbox.held} windows wait there"


def check_broker(settings: AgentSettings, clock: Clock) -> str:
    """Broker, TLS and rights are good, and a window of nothing goes all the way to the collector and back.

    Where no collector listens it stays in the outbox, and goes with the next delivery.
    """
    broker = settings.broker_address
    if broker is None:
        raise ConfigError("none is set, so nothing is delivered: give --broker mqtts://HOST")
    with closing(_outbox(settings, clock)) as outbox:
        window = outbox.store(_nothing_observed(settings, clock))
        batch = CountBatch(trap=settings.trap, sent_wall_ms=clock.now().wall_ms, windows=(window,))
        will = State(trap=settings.trap, state="offline", boot=outbox.boot, wall_ms=batch.sent_wall_ms)
        with closing(Session(broker, settings.address, broker.tls_context(), will)) as session:
            session.open()
            session.publish(COUNTS, batch)
            outcome = _await_acknowledgement(session, outbox, window)
    return f"{broker}: connected{', TLS verified' if broker.tls else ''}, subscribed; {outcome}"


def _await_acknowledgement(session: Session, outbox: Outbox, window: Window) -> str:
    begun_s = time.monotonic()
    while (took_s := time.monotonic() - begun_s) < ACKNOWLEDGED_WITHIN_S:
        said = [heard.payload for heard in session.turn(0.1) if heard.leaf == ACK]
        if sum(_settles(payload, outbox, window) for payload in said):
            return f"a window was stored and acknowledged in {took_s * 1000:.0f} ms"
        if UNHEARD in session.refusals:
            return "publishing is allowed, but no collector listens: a window waits in the outbox"
        if session.refusals:
            raise DeliveryError(f"publishing counts is refused: {', '.join(session.refusals)}: check the broker's ACL")
    raise DeliveryError(
        f"no acknowledgement within {ACKNOWLEDGED_WITHIN_S:.0f} s: check that the collector runs, and that "
        "the broker lets this trap read its acknowledgements"
    )


def _settles(payload: bytes, outbox: Outbox, window: Window) -> bool:
    """Take an acknowledgement to the outbox; whether it names this window."""
    try:
        ack = parse_message(Ack, payload)
    except MessageError:
        return False
    outbox.acknowledge(ack.ranges)
    return any(part.boot == window.boot and part.first <= window.seq <= part.last for part in ack.ranges)


def _nothing_observed(settings: AgentSettings, clock: Clock) -> Draft:
    now, path = clock.now(), bundle_path(settings)
    manifest = read_manifest(path)
    return partial(
        Window,
        kernel_boot=kernel_boot_id(),
        wall_ms=now.wall_ms,
        mono_ms=round(now.mono_s * 1000),
        duration_ms=_OWN_MS,
        clock=now.clock(),
        semantics="occupancy",
        counts=None,
        effort=Effort(
            observed_s=0, frames_seen=0, frames_analysed=0, gaps=(Gap(reason="stop", seconds=_OWN_MS / 1000),)
        ),
        model=ModelRef(
            id=manifest.id if manifest else path.stem,
            sha256=bundle_digest(path),
            threshold=settings.threshold or (manifest.threshold if manifest else 0),
            backend="selftest",
        ),
    )


def _outbox(settings: AgentSettings, clock: Clock) -> Outbox:
    now = clock.now()
    return Outbox(settings.state_dir, settings.address, new_boot(), now.wall_ms, settings.outbox_limit)
