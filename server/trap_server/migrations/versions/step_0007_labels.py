"""Labels: what people see on crops."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "labels",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("tenant", sa.String(36), nullable=False),
        sa.Column("trap", sa.String(36), nullable=False),
        sa.Column("evidence", sa.String(32), nullable=False),
        sa.Column("predicted", sa.String(64), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("label", sa.String(64)),
        sa.Column("box", sa.JSON, nullable=False),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
        sa.Column("labelled_by", sa.String(128), nullable=False),
        sa.Column("labelled_at_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "trap", "evidence", name="labels_once"),
        sqlite_autoincrement=True,
    )
