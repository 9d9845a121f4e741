"""The life of an alert: it opens once, may be acknowledged, and closes once; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from trap_server.alerting.rules import Finding, Kind

State = Literal["open", "acknowledged", "closed"]
Key = tuple[str, str, Kind]


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing wrong with one trap from `opened_ms` to `closed_ms`; `id` is None until it is stored.

    `told` says by sender which state was delivered last.
    """

    tenant: str
    trap: str
    kind: Kind
    state: State
    opened_ms: int
    text: str
    value: float | None = None
    closed_ms: int | None = None
    acknowledged_ms: int | None = None
    acknowledged_by: str | None = None
    told: dict[str, State] = field(default_factory=dict)
    id: int | None = None

    @property
    def key(self) -> Key:
        """Of alerts that are not closed there is one for each key."""
        return self.tenant, self.trap, self.kind

    def acknowledged(self, by: str, now_ms: int) -> "Alert":
        """Somebody has seen it; what is acknowledged or closed stays as it is."""
        if self.state != "open":
            return self
        return replace(self, state="acknowledged", acknowledged_by=by, acknowledged_ms=now_ms)


def changes(live: Mapping[Key, Alert], findings: Iterable[Finding], now_ms: int) -> list[Alert]:
    """Alerts that open or close because of the findings; `live` are all that are not closed.

    What is bad already and still bad changes nothing; nor does what lies between the limits or is not known.
    """
    changed: dict[Key, Alert] = {}
    for finding in findings:
        key: Key = (finding.tenant, finding.trap, finding.kind)
        alert = live.get(key)
        if finding.level == "bad" and alert is None:
            changed[key] = Alert(*key, "open", now_ms, finding.text, finding.value)
        elif finding.level == "fine" and alert is not None:
            changed[key] = replace(alert, state="closed", closed_ms=now_ms)
    return list(changed.values())
