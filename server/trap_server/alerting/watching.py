"""One round: gather, judge, store what changed, tell."""

import time
from collections.abc import Sequence

import sqlalchemy as sa
from trap_contract.errors import DeliveryError, StoreError
from trap_contract.logs import log

from trap_server.alerting.engine import Alert, changes
from trap_server.alerting.facts import DAY_MS, Memory, gather
from trap_server.alerting.keeping import keep, live_alerts, remember_told, untold
from trap_server.alerting.rules import Limits, judge
from trap_server.alerting.senders import Sender
from trap_server.alerting.settings import read_alert_settings
from trap_server.database import open_database, open_for_reading
from trap_server.settings import Settings


def run_watch(settings: Settings, every_s: float | None) -> None:
    """One round after the other, `every_s` seconds apart; a single one when that is None. Raises ConfigError."""
    alerting, memory = read_alert_settings(), Memory()
    senders, limits = alerting.senders(settings.broker_address), alerting.limits()
    writing, reading = open_database(settings.database), open_for_reading(settings.database)
    while True:
        now_ms = time.time_ns() // 1_000_000
        try:
            changed = watch_once(reading, writing, limits=limits, senders=senders, memory=memory, now_ms=now_ms)
        except sa.exc.DBAPIError as error:
            if every_s is None:
                raise StoreError(f"database {writing.url.database} refuses: {error.orig}") from error
            log.warning("database refuses; the next round tries again", error=str(error.orig))
            changed = []
        for alert in changed:
            log.info("alert", id=alert.id, state=alert.state, kind=alert.kind, text=alert.text)
        if every_s is None:
            return
        time.sleep(every_s)


def watch_once(
    reading: sa.Engine, writing: sa.Engine, *, limits: Limits, senders: Sequence[Sender], memory: Memory, now_ms: int
) -> list[Alert]:
    """Judge every trap at `now_ms`; the alerts that opened or closed. What can't be told is told in a later round."""
    with reading.begin() as connection:
        findings = [one for facts in gather(connection, memory, now_ms) for one in judge(facts, limits)]
    with writing.begin() as connection:
        changed = keep(connection, changes(live_alerts(connection), findings, now_ms))
    _tell(reading, writing, senders, now_ms)
    return changed


def _tell(reading: sa.Engine, writing: sa.Engine, senders: Sequence[Sender], now_ms: int) -> None:
    by_name = {sender.name: sender for sender in senders}
    with reading.begin() as connection:
        waiting = untold(connection, by_name, now_ms - DAY_MS)
    for alert, name in waiting:
        try:
            by_name[name].send(alert, now_ms)
        except DeliveryError as error:
            log.warning("alert not told", alert=alert.id, sender=name, error=str(error))
            continue
        with writing.begin() as connection:
            alert.told[name] = "closed" if alert.state == "closed" else "open"
            remember_told(connection, alert)
