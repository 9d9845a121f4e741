"""Alerts: what is or was wrong with a trap, who has seen it, and who was told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table and its indexes."""
    op.create_table(
        "alerts",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("tenant", sa.String(36), nullable=False),
        sa.Column("trap", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("closed_ms", sa.BigInteger),
        sa.Column("acknowledged_ms", sa.BigInteger),
        sa.Column("acknowledged_by", sa.String(128)),
        sa.Column("told", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    live = sa.text("closed_ms IS NULL")
    columns = ["tenant", "trap", "kind"]
    op.create_index("alerts_live", "alerts", columns, unique=True, sqlite_where=live, postgresql_where=live)
    op.create_index("alerts_closed", "alerts", ["closed_ms"])
