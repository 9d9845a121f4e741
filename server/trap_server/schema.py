"""The tables, in dialect-neutral SQLAlchemy Core. `migrations/` creates them; a test keeps both equal."""

import sqlalchemy as sa

metadata = sa.MetaData()

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers rows only in a column of type INTEGER
KEY = ("tenant", "trap", "boot", "seq")

windows = sa.Table(
    "windows",
    metadata,
    sa.Column("id", BigId, primary_key=True),  # order of commit: what a page has seen, and resumes from
    sa.Column("tenant", sa.String(36), nullable=False),
    sa.Column("trap", sa.String(36), nullable=False),
    sa.Column("boot", sa.String(32), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("wall_ms", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("clock_synced", sa.Boolean, nullable=False),
    sa.Column("semantics", sa.String(16), nullable=False),
    sa.Column("counts", sa.JSON(none_as_null=True)),  # NULL: nothing was seen of the board, which is not zero
    sa.Column("frames_analysed", sa.BigInteger, nullable=False),
    sa.Column("observed_s", sa.Float, nullable=False),
    sa.Column("model_id", sa.String(128), nullable=False),
    sa.Column("model_sha256", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # the whole window; its SHA-256 is `digest`
    sa.UniqueConstraint(*KEY, name="windows_key"),
    sa.Index("windows_by_time", "tenant", "trap", "wall_ms"),
    sqlite_autoincrement=True,  # an id is never used twice, so a resumed page can't miss a row
)

traps = sa.Table(
    "traps",
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("last_seen_ms", sa.BigInteger),  # by the collector's clock
    sa.Column("window_ms", sa.BigInteger),
    sa.Column("boot", sa.String(32)),
    sa.Column("birth", sa.Text),
    sa.Column("state", sa.String(16)),
    sa.Column("state_wall_ms", sa.BigInteger),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("tenant", sa.String(36)),
    sa.Column("trap", sa.String(36)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

collisions = sa.Table(
    "collisions",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("tenant", sa.String(36), nullable=False),
    sa.Column("trap", sa.String(36), nullable=False),
    sa.Column("boot", sa.String(32), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.ForeignKeyConstraint(KEY, [f"windows.{name}" for name in KEY], name="collisions_window"),
    sa.UniqueConstraint(*KEY, "digest", name="collisions_content"),
    sqlite_autoincrement=True,
)

collectors = sa.Table(
    "collectors",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("heartbeat_ms", sa.BigInteger, nullable=False),
    sa.Column("connected", sa.Boolean, nullable=False),
    sa.Column("stored", sa.BigInteger, nullable=False),
    sa.Column("duplicates", sa.BigInteger, nullable=False),
    sa.Column("collisions", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
    sa.Column("acknowledged", sa.BigInteger, nullable=False),
    sa.Column("batches", sa.BigInteger, nullable=False),
    sa.Column("batch_seconds", sa.Float, nullable=False),
)
