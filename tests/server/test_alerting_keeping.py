"""Alerts in both databases."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from trap_contract.errors import ConfigError
from trap_server.alerting.engine import Alert
from trap_server.alerting.keeping import acknowledge, alerts, keep, live_alerts, remember_told, untold

ALERT = Alert("demo", "t1", "disk", "open", 5, "demo/t1: 80 MB of disk are free", 80.0)


def test_alerts_are_kept_acknowledged_told_and_closed_and_live_once(engine: sa.Engine):
    with engine.begin() as connection:
        (alert,) = keep(connection, [ALERT])
        assert live_alerts(connection) == {ALERT.key: replace(ALERT, id=alert.id)}
        assert [name for _, name in untold(connection, ["mail", "mqtt"], 0)] == ["mail", "mqtt"]
        remember_told(connection, replace(alert, told={"mail": "open"}))
        assert [name for _, name in untold(connection, ["mail", "mqtt"], 0)] == ["mqtt"]
        seen = acknowledge(connection, alert.id or 0, "ana", 7)
        assert (seen.state, seen.told) == ("acknowledged", {"mail": "open"})
        with pytest.raises(ConfigError, match="no alert 99"):
            acknowledge(connection, 99, "ana", 7)
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        keep(connection, [ALERT])
    with engine.begin() as connection:
        keep(connection, [replace(seen, state="closed", closed_ms=9)])
        assert [(one.state, name) for one, name in untold(connection, ["mail", "mqtt"], 0)] == [("closed", "mail")]
        assert untold(connection, ["mail"], 10) == []
        (again,) = keep(connection, [ALERT])
        assert [one.id for one in alerts(connection, 10)] == [again.id, alert.id]
