"""Lost effort has a place in hours; `trap-server rebuild` finds that of losses which are told already."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table and the column."""
    op.create_table(
        "lost_effort",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("boot", sa.String(32), primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger, nullable=False),
        sa.Column("parts", sa.BigInteger, nullable=False),
        sa.Column("effort_ms", sa.BigInteger, nullable=False),
        sa.Column("semantics", sa.String(16), nullable=False),
    )
    op.add_column("hours", sa.Column("lost_ms", sa.BigInteger, nullable=False, server_default="0"))
