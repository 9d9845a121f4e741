"""Settings that change while the agent runs: read again, checked as a whole, and in force from the next window on."""

import threading
from collections.abc import Callable, Mapping

from trap_contract.errors import ConfigError
from trap_contract.logs import log
from trap_contract.messages import Value
from trap_contract.settings import LIVE, check_live

from trap_agent.settings import AgentSettings

Load = Callable[[Mapping[str, Value]], AgentSettings]
"""Merges all places, what is set from afar being one of them. Raises ConfigError."""


class Tuning:
    """The settings in force, and those that wait for the next window; safe to use from several threads."""

    def __init__(self, settings: AgentSettings, load: Load, afar: Mapping[str, Value]) -> None:
        self._current = settings
        self._waiting: AgentSettings | None = None
        self._load = load
        self.afar = dict(afar)
        self._mutex = threading.Lock()

    @property
    def current(self) -> AgentSettings:
        """The settings in force."""
        return self._current

    def reload(self) -> None:
        """Read every place again; says in the log what changes, what needs a restart, or what is wrong."""
        try:
            self._offer(self._load(self.afar))
        except ConfigError as error:
            log.error("settings not changed", error=str(error))

    def check(self, afar: Mapping[str, Value]) -> None:
        """Raises ConfigError unless this could be all that is set from afar: a wrong value, or a flag pins one."""
        check_live(afar)
        loaded = self._load(afar)
        for name, value in afar.items():
            if getattr(loaded, name) != value:
                raise ConfigError(f"{name} is pinned to {getattr(loaded, name)} by a flag or a TRAP_ variable")

    def adopt(self, afar: Mapping[str, Value]) -> None:
        """Put in force, from the next window on, what `check` allowed."""
        loaded = self._load(afar)
        self.afar = dict(afar)
        self._offer(loaded)

    def take(self) -> AgentSettings | None:
        """The settings that wait, from now on those in force; None when none wait."""
        with self._mutex:
            waiting, self._waiting = self._waiting, None
            self._current = waiting or self._current
        return waiting

    def _offer(self, loaded: AgentSettings) -> None:
        with self._mutex:
            before = self._waiting or self._current
            offered = before.model_copy(update=live_values(loaded))
            fixed = [name for name in type(loaded).model_fields if getattr(loaded, name) != getattr(offered, name)]
            changes = {name: value for name, value in live_values(loaded).items() if value != getattr(before, name)}
            self._waiting = offered if offered != self._current else None
        if fixed:
            log.warning("these settings change at the next start only", settings=fixed)
        log.info(
            "settings read, in force from the next window on" if changes else "settings read, as before", **changes
        )


def begin_tuning(settings: AgentSettings, load: Load, afar: Mapping[str, Value]) -> Tuning:
    """What an agent begins with: `settings`, and over them what an earlier run was told from afar."""
    try:
        return Tuning(load(afar), load, afar)
    except ConfigError as error:
        log.error("what was set from afar is no longer valid, going on without it", error=str(error))
        return Tuning(settings, load, {})


def live_values(settings: AgentSettings) -> dict[str, Value]:
    """Of these settings those that can change."""
    return {name: getattr(settings, name) for name in LIVE}
