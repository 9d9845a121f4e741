"""What is missing and lost of each boot; health; answers to commands."""

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables, and fill `boots` from the windows."""
    boots = _create_boots()
    _create_losses()
    _create_health()
    _create_command_answers()
    _fill(boots)


def _trap_columns() -> tuple[sa.Column[object], ...]:
    return sa.Column("tenant", sa.String(36), nullable=False), sa.Column("trap", sa.String(36), nullable=False)


def _create_boots() -> sa.Table:
    boots = op.create_table(
        "boots",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("boot", sa.String(32), primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("missing", sa.JSON, nullable=False),
        sa.Column("lost", sa.JSON, nullable=False),
        sa.Column("ask_at_ms", sa.BigInteger),
    )
    op.create_index("boots_to_ask", "boots", ["ask_at_ms"])
    return boots


def _create_losses() -> None:
    op.create_table(
        "losses",
        sa.Column("id", BIG_ID, primary_key=True),
        *_trap_columns(),
        sa.Column("boot", sa.String(32), nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "trap", "boot", "first", "last", "reason", name="losses_once"),
        sqlite_autoincrement=True,
    )


def _create_health() -> None:
    op.create_table(
        "health",
        sa.Column("id", BIG_ID, primary_key=True),
        *_trap_columns(),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("health_by_time", "health", ["tenant", "trap", "received_at_ms"])


def _create_command_answers() -> None:
    op.create_table(
        "command_answers",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("command", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    )


def _fill(boots: sa.Table) -> None:
    connection = op.get_bind()
    holes = defaultdict(list)
    before = "lag(seq, 1, 0) OVER (PARTITION BY tenant, trap, boot ORDER BY seq)"
    found = connection.exec_driver_sql(
        f"SELECT * FROM (SELECT tenant, trap, boot, seq, {before} AS before FROM windows) AS w WHERE seq > before + 1"  # noqa: S608
    )
    for tenant, trap, boot, seq, last in found:
        holes[(tenant, trap, boot)].append([last + 1, seq - 1])
    ends = connection.exec_driver_sql("SELECT tenant, trap, boot, max(seq) FROM windows GROUP BY tenant, trap, boot")
    rows = [
        {"tenant": key[0], "trap": key[1], "boot": key[2], "last": last, "missing": holes[key], "lost": []}
        | {"ask_at_ms": 0 if holes[key] else None}
        for *names, last in ends
        if (key := tuple(names))
    ]
    op.bulk_insert(boots, rows)
