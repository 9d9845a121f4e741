"""What a scenario has at hand: a card, a site, and the trap between them."""

import importlib.util
import json
import random
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trap_contract.errors import ConfigError, ZancudoError

from trap_deploy.balance import Balance, balance
from trap_deploy.boot import machine
from trap_deploy.boot.machine import HOST, Card, Guest
from trap_deploy.boot.site import Site
from trap_deploy.image.filesystems import copy_sparse, remove_tree

BOOT_S: Final = 900.0
"""Emulated on two shared cores."""
CARD_MIB: Final = 3072
AGENT: Final = "/opt/zancudo/bin/trap-agent"
STATE: Final = "/var/lib/trap"
STATUS: Final = "/boot/firmware/trap-status.txt"


class ScenarioError(ZancudoError):
    """Something was not as it should be."""


@dataclass(slots=True)
class Stage:
    """One scenario's run. `notes` goes into the report."""

    folder: Path
    card: Card
    site: Site
    rng: random.Random
    scenario: Path
    notes: dict[str, object] = field(default_factory=dict)
    guests: list[Guest] = field(default_factory=list)

    def provision(self, **changes: str) -> None:
        """Put the scenario's trap.toml onto the card: BROKER in it is this site's, `changes` are further words."""
        text = (self.scenario / "trap.toml").read_text()
        for word, value in {"BROKER": f"mqtt://{HOST}:{self.site.port}", **changes}.items():
            text = text.replace(word, value)
        self.card.put("trap.toml", text.encode())

    def boot(self, *, greet: bool = True, clock: str = "utc", memory_mb: int = 1024) -> Guest:
        """Switch the trap on."""
        guest = machine.start(self.card, clock=clock, memory_mb=memory_mb)
        self.guests.append(guest)
        if greet:
            guest.greet(BOOT_S)
        return guest

    def expect(self, is_true: object, what: str) -> None:
        """Raises ScenarioError naming what is not so."""
        if not is_true:
            raise ScenarioError(f"not so: {what}")

    def counting(self, guest: Guest, limit_s: float = 900) -> None:
        """Wait until the agent runs."""
        guest.wait("systemctl is-active trap-agent", limit_s)

    def await_held(self, guest: Guest, least: int, limit_s: float) -> None:
        """Wait until the agent holds so many windows that nobody has acknowledged."""
        guest.wait(_most_held(f">= {least}"), limit_s)

    def settle(self, guest: Guest) -> Balance:
        """Let the agent deliver what it holds, and hold both books against each other. Raises ScenarioError."""
        guest.sh("systemctl start trap-agent", 400)
        guest.wait(_most_held("== 0"), 900, 5)
        guest.sh("systemctl stop trap-agent", 200)
        guest.wait(_most_held("== 0"), 60)
        result = balance(json.loads(guest.sh(_books())), self.site.check())
        self.notes["balance"] = f"{result.issued} issued, {result.stored} stored, {result.missing} missing"
        self.expect(result.is_even, f"every window is stored exactly once: {result}")
        return result

    def status(self, guest: Guest) -> str:
        """What stands in trap-status.txt."""
        return guest.sh(f"cat {STATUS}").replace("\r", "")

    def await_status(self, guest: Guest, words: str, limit_s: float) -> str:
        """Wait until trap-status.txt says it, in any case; its text. Raises GuestError with what it says instead."""
        guest.wait(f"grep -qi {shlex.quote(words)} {STATUS} || {{ cat {STATUS}; false; }}", limit_s)
        return self.status(guest)

    def healthy(self, guest: Guest) -> None:
        """No unit failed, no ordering cycle, the system is read-only."""
        failed = guest.sh("systemctl --failed --no-legend --plain")
        self.expect(not failed.strip(), f"no unit failed: {failed}")
        self.expect(guest.ask("touch /usr/x")[0] != 0, "the system can't be written")
        cycles = guest.sh("journalctl -b -o cat | grep -c 'ordering cycle' || true")
        self.expect(int(cycles) == 0, "no ordering cycle")

    def __post_init__(self) -> None:
        """A card larger than the image, as cards are."""
        self.card.enlarge(CARD_MIB)


def _books() -> str:
    return f"{AGENT} outbox --state-dir {STATE} --json"


def _most_held(compared: str) -> str:
    """A shell line that succeeds when the most windows held of one start of the agent compare so."""
    most = "max((boot['pending'] for boot in json.load(sys.stdin)['boots']), default=0)"
    return f'{_books()} | /usr/bin/python3 -c "import json,sys; sys.exit(not {most} {compared})"'


@contextmanager
def staged(image: Path, scenario: Path, folder: Path, seed: int) -> Iterator[Stage]:
    """A fresh copy of the image and a running site; whatever still runs at the end is ended."""
    remove_tree(folder)
    folder.mkdir(parents=True)
    copy = folder / "card.img"
    copy_sparse(image, copy)
    site = Site.make(folder / "site")
    stage = Stage(folder, Card(copy), site, random.Random(seed), scenario)  # noqa: S311 - moments of cuts
    try:
        site.start()
        yield stage
    finally:
        for guest in stage.guests:
            if guest.process.poll() is None:
                guest.cut()
        site.stop()
        copy.unlink(missing_ok=True)


def load(scenario: Path) -> Callable[[Stage], None]:
    """The function `run` of a folder's scenario.py. Raises ConfigError."""
    file = scenario / "scenario.py"
    spec = importlib.util.spec_from_file_location(f"scenario_{scenario.name}", file)
    if spec is None or spec.loader is None or not file.exists():
        raise ConfigError(f"{scenario}: has no scenario.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run: Callable[[Stage], None] = module.run
    return run


def since(guest: Guest) -> float:
    """Seconds since the power was switched on, by this machine's clock."""
    return round(time.monotonic() - guest.began_s, 1)


def guest_times(guest: Guest) -> dict[str, Any]:
    """What the guest itself measured, in its own seconds."""
    words = guest.sh("systemd-analyze time --no-pager | head -1; cut -d' ' -f1 /proc/uptime; free -m | sed -n 2p")
    analysed, uptime, memory = words.strip().splitlines()
    return {"boot": analysed.split(" = ")[-1], "uptime_s": float(uptime), "memory_used_mb": int(memory.split()[2])}
