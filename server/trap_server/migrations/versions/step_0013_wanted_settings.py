"""Settings that are wanted of traps; commands have no arguments any more."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table; drop what `configure` was asked for with."""
    op.create_table(
        "wanted_settings",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.String(220), nullable=False),
        sa.Column("told_ms", sa.BigInteger),
    )
    op.create_index(
        "wanted_settings_untold",
        "wanted_settings",
        ["changed_ms"],
        sqlite_where=sa.text("told_ms IS NULL"),
        postgresql_where=sa.text("told_ms IS NULL"),
    )
    op.drop_column("commands", "arguments")
