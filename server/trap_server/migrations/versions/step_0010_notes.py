"""Notes of people on traps."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "notes",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("tenant", sa.String(36), nullable=False),
        sa.Column("trap", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.String(200), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(220), nullable=False),
        sa.Column("written_ms", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("notes_of_trap", "notes", ["tenant", "trap"])
