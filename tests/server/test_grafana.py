"""The Grafana dashboard: its queries, run on a real PostgreSQL with counts in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trap_server.alerting.engine import Alert
from trap_server.alerting.keeping import keep as keep_alerts
from trap_server.database import open_database
from trap_server.notes import Note, write

from server.exports import NOON_MS, caught, keep

BOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "zancudo.json"


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and SQL, Grafana's variables filled in."""
    told = [(panel["title"], target["rawSql"]) for panel in board["panels"] for target in panel["targets"]]
    told += [(one["name"], one["target"]["rawSql"]) for one in board["annotations"]["list"]]
    told += [(one["name"], one["query"]) for one in board["templating"]["list"]]
    values = {"$__unixEpochFrom()": NOON_MS // 1000, "$__unixEpochTo()": NOON_MS // 1000 + 86_400, "$trap": "'demo/t1'"}
    for title, sql in told:
        for name, value in values.items():
            sql = sql.replace(name, str(value))
        assert "$" not in sql
        yield title, sql


def test_every_query_of_the_dashboard_answers_and_sums_what_may_be_summed(postgresql_url: str):
    engine = open_database(postgresql_url)
    keep(engine, caught(1, 1, 2), caught(2, 1.2, 3), caught(3, 2, None), caught(4, 1, 40, semantics="occupancy"))
    with engine.begin() as connection:
        keep_alerts(connection, [Alert("demo", "t1", "silent", "open", NOON_MS, "the trap is silent")])
        write(connection, Note("demo", "t1", "bait", "CO2", NOON_MS, "anna", NOON_MS))
        connection.execute(sa.text("INSERT INTO collectors VALUES ('c', 1, true, 4, 0, 0, 0, 4, 1, 0.1)"))
    found = {}
    with engine.begin() as connection:
        for title, sql in queries(json.loads(BOARD.read_text())):
            found[title] = [tuple(row) for row in connection.exec_driver_sql(sql.replace("%", "%%"))]
    assert [title for title, rows in found.items() if not rows] == []
    assert [row[2] for row in found["Females caught in an hour"]] == [5]
    assert [row[2] for row in found["In the picture at once, median of the hour"]] == [41]
    assert len(found["Effort: share of the hour that was observed"]) == 2
    engine.dispose()
