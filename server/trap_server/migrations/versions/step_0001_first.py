"""Windows, traps, quarantine, collisions, collectors."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = ("tenant", "trap", "boot", "seq")


def upgrade() -> None:
    """Create the first tables."""
    _create_windows()
    _create_traps()
    _create_quarantine()
    _create_collisions()
    _create_collectors()


def _key_columns() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("tenant", sa.String(36), nullable=False),
        sa.Column("trap", sa.String(36), nullable=False),
        sa.Column("boot", sa.String(32), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )


def _create_windows() -> None:
    op.create_table(
        "windows",
        sa.Column("id", BIG_ID, primary_key=True),
        *_key_columns(),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("clock_synced", sa.Boolean, nullable=False),
        sa.Column("semantics", sa.String(16), nullable=False),
        sa.Column("counts", sa.JSON(none_as_null=True)),
        sa.Column("frames_analysed", sa.BigInteger, nullable=False),
        sa.Column("observed_s", sa.Float, nullable=False),
        sa.Column("model_id", sa.String(128), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint(*KEY, name="windows_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("windows_by_time", "windows", ["tenant", "trap", "wall_ms"])


def _create_traps() -> None:
    op.create_table(
        "traps",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("last_seen_ms", sa.BigInteger),
        sa.Column("window_ms", sa.BigInteger),
        sa.Column("boot", sa.String(32)),
        sa.Column("birth", sa.Text),
        sa.Column("state", sa.String(16)),
        sa.Column("state_wall_ms", sa.BigInteger),
    )


def _create_quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("tenant", sa.String(36)),
        sa.Column("trap", sa.String(36)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )


def _create_collisions() -> None:
    op.create_table(
        "collisions",
        sa.Column("id", BIG_ID, primary_key=True),
        *_key_columns(),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(KEY, [f"windows.{name}" for name in KEY], name="collisions_window"),
        sa.UniqueConstraint(*KEY, "digest", name="collisions_content"),
        sqlite_autoincrement=True,
    )


def _create_collectors() -> None:
    op.create_table(
        "collectors",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("heartbeat_ms", sa.BigInteger, nullable=False),
        sa.Column("connected", sa.Boolean, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("duplicates", sa.BigInteger, nullable=False),
        sa.Column("collisions", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
        sa.Column("batches", sa.BigInteger, nullable=False),
        sa.Column("batch_seconds", sa.Float, nullable=False),
    )
