"""Published bundles, rollouts, and how far each trap has come."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "bundles",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("published_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("digest", sa.String(64), sa.ForeignKey("bundles.digest", name="rollouts_bundle"), nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ring", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("deadline_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rollout_traps",
        sa.Column("rollout", sa.String(16), sa.ForeignKey("rollouts.id", name="rollout_traps_of"), primary_key=True),
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("ring", sa.BigInteger, nullable=False),
        sa.Column("offered_ms", sa.BigInteger),
        sa.Column("state", sa.String(16)),
        sa.Column("fetched", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("verdict_text", sa.Text, nullable=False),
        sa.Column("changed_ms", sa.BigInteger),
    )
