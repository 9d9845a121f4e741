"""Where each trap stood, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "deployments",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("tenant", sa.String(36), nullable=False),
        sa.Column("trap", sa.String(36), nullable=False),
        sa.Column("site", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("bait", sa.String(200), nullable=False),
        sa.Column("trap_type", sa.String(200), nullable=False),
        sa.Column("begins_ms", sa.BigInteger, nullable=False),
        sa.Column("ends_ms", sa.BigInteger),
        sa.UniqueConstraint("tenant", "trap", "begins_ms", name="deployments_once"),
        sqlite_autoincrement=True,
    )
