"""Evidence: pictures from traps, for people to look at."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table and its index."""
    op.create_table(
        "evidence",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("tenant", sa.String(36), nullable=False),
        sa.Column("trap", sa.String(36), nullable=False),
        sa.Column("evidence", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("boot", sa.String(32)),
        sa.Column("seq", sa.BigInteger),
        sa.Column("label", sa.String(64)),
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "trap", "evidence", name="evidence_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("evidence_newest", "evidence", ["tenant", "trap", "id"])
