"""Roll-ups: hours and nights beside the windows; every hour that there is counts as stale until it is built."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the tables and mark every hour."""
    op.create_table(
        "stale_hours",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("hour_ms", sa.BigInteger, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("stale_hours_by_time", "stale_hours", ["hour_ms"])
    _create_hours()
    _create_nights()
    op.execute(
        "INSERT INTO stale_hours (tenant, trap, hour_ms) SELECT DISTINCT tenant, trap, start_ms - start_ms % 3600000"
        " FROM windows"
    )


def _create_hours() -> None:
    op.create_table(
        "hours",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("hour_ms", sa.BigInteger, primary_key=True),
        sa.Column("night", sa.String(10), primary_key=True),
        sa.Column("deployed_ms", sa.BigInteger, primary_key=True),
        sa.Column("semantics", sa.String(16), primary_key=True),
        sa.Column("sealed", sa.Boolean, primary_key=True),
        sa.Column("site", sa.String(200), nullable=False),
        sa.Column("windows", sa.BigInteger, nullable=False),
        sa.Column("counted", sa.BigInteger, nullable=False),
        sa.Column("observed_ms", sa.BigInteger, nullable=False),
        sa.Column("tally", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("thresholds", sa.JSON, nullable=False),
        sa.Column("clock_repaired", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("hours_of_night", "hours", ["tenant", "trap", "night"])


def _create_nights() -> None:
    op.create_table(
        "nights",
        sa.Column("night", sa.String(10), primary_key=True),
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("deployed_ms", sa.BigInteger, primary_key=True),
        sa.Column("semantics", sa.String(16), primary_key=True),
        sa.Column("site", sa.String(200), nullable=False),
        sa.Column("begins_ms", sa.BigInteger, nullable=False),
        sa.Column("ends_ms", sa.BigInteger, nullable=False),
        sa.Column("boundary", sa.String(8), nullable=False),
        sa.Column("statistic", sa.String(8), nullable=False),
        sa.Column("counts", sa.JSON(none_as_null=True)),
        sa.Column("observed_s", sa.Float, nullable=False),
        sa.Column("expected_s", sa.Float, nullable=False),
        sa.Column("lost_s", sa.Float, nullable=False),
        sa.Column("coverage", sa.Float, nullable=False),
        sa.Column("problem", sa.Boolean, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("thresholds", sa.JSON, nullable=False),
        sa.Column("clock_repaired", sa.Boolean, nullable=False),
        sa.Column("windows", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("nights_of_trap", "nights", ["tenant", "trap", "night"])
