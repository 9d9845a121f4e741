"""When windows really began, and what is known of each kernel boot's clock."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TRUSTED_ERROR_MS = 1000


def upgrade() -> None:
    """Add the columns, filled from the windows' raw clocks; time is looked up by the repaired start from now on."""
    for column in (
        sa.Column("kernel_boot", sa.String(64), nullable=False, server_default=""),
        sa.Column("mono_ms", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("start_ms", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("clock_method", sa.String(8), nullable=False, server_default="bounded"),
        sa.Column("clock_error_ms", sa.BigInteger),
    ):
        op.add_column("windows", column)
    _fill()
    op.drop_index("windows_by_time", "windows")
    op.create_index("windows_by_time", "windows", ["tenant", "trap", "start_ms"])
    unsynced = sa.text("NOT clock_synced")
    names = ["tenant", "trap", "kernel_boot", "mono_ms"]
    op.create_index("windows_to_repair", "windows", names, sqlite_where=unsynced, postgresql_where=unsynced)
    _create_clocks()


def _fill() -> None:
    op.execute("UPDATE windows SET start_ms = wall_ms")
    op.execute(
        f"UPDATE windows SET clock_method = 'trusted', clock_error_ms = {TRUSTED_ERROR_MS} WHERE clock_synced"  # noqa: S608
    )
    if op.get_bind().dialect.name == "sqlite":  # there was no other database before step 2
        kernel_boot, mono_ms = "json_extract(body, '$.kernel_boot')", "json_extract(body, '$.mono_ms')"
        op.execute(f"UPDATE windows SET kernel_boot = {kernel_boot}, mono_ms = {mono_ms}")  # noqa: S608


def _create_clocks() -> None:
    op.create_table(
        "clocks",
        sa.Column("tenant", sa.String(36), primary_key=True),
        sa.Column("trap", sa.String(36), primary_key=True),
        sa.Column("kernel_boot", sa.String(64), primary_key=True),
        sa.Column("first_mono_ms", sa.BigInteger),
        sa.Column("first_wall_ms", sa.BigInteger),
        sa.Column("last_mono_ms", sa.BigInteger),
        sa.Column("last_wall_ms", sa.BigInteger),
        sa.Column("latest_ms", sa.BigInteger),
        sa.Column("earliest_ms", sa.BigInteger),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("unsynced", sa.Boolean, nullable=False),
    )
