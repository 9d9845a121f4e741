"""The tables, in dialect-neutral SQLAlchemy Core. `migrations/` creates them; a test keeps both equal."""

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers rows only in a column of type INTEGER
KEY = ("tenant", "trap", "boot", "seq")


def _where(rows: str) -> dict[str, Any]:
    """Of an index over some rows."""
    return {"sqlite_where": sa.text(rows), "postgresql_where": sa.text(rows)}


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
    sa.Column("kernel_boot", sa.String(64), nullable=False),
    sa.Column("mono_ms", sa.BigInteger, nullable=False),
    sa.Column("start_ms", sa.BigInteger, nullable=False),  # repaired; `wall_ms` is as the trap said
    sa.Column("clock_method", sa.String(8), nullable=False),  # see repair.Method
    sa.Column("clock_error_ms", sa.BigInteger),  # NULL: no bound is known
    sa.UniqueConstraint(*KEY, name="windows_key"),
    sa.Index("windows_by_time", "tenant", "trap", "start_ms"),
    sa.Index("windows_to_repair", "tenant", "trap", "kernel_boot", "mono_ms", **_where("NOT clock_synced")),
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

boots = sa.Table(
    "boots",
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("boot", sa.String(32), primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("missing", sa.JSON, nullable=False),  # [[first, last], ...]
    sa.Column("lost", sa.JSON, nullable=False),
    sa.Column("ask_at_ms", sa.BigInteger),  # when to ask the trap for what is missing; NULL: nothing is
    sa.Index("boots_to_ask", "ask_at_ms"),
)

losses = sa.Table(
    "losses",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("tenant", sa.String(36), nullable=False),
    sa.Column("trap", sa.String(36), nullable=False),
    sa.Column("boot", sa.String(32), nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("tenant", "trap", "boot", "first", "last", "reason", name="losses_once"),
    sqlite_autoincrement=True,
)

health = sa.Table(
    "health",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("tenant", sa.String(36), nullable=False),
    sa.Column("trap", sa.String(36), nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("health_by_time", "tenant", "trap", "received_at_ms"),
    sqlite_autoincrement=True,
)

command_answers = sa.Table(
    "command_answers",
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("command", sa.String(32), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
)

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("sent_ms", sa.BigInteger),
    sa.Index("commands_unsent", "expires_ms", **_where("sent_ms IS NULL")),
)

wanted_settings = sa.Table(
    "wanted_settings",
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_by", sa.String(220), nullable=False),
    sa.Column("told_ms", sa.BigInteger),  # NULL: the broker has not been given this version
    sa.Index("wanted_settings_untold", "changed_ms", **_where("told_ms IS NULL")),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("tenant", sa.String(36), nullable=False),
    sa.Column("trap", sa.String(36), nullable=False),
    sa.Column("evidence", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("wall_ms", sa.BigInteger, nullable=False),  # when it was taken, as the trap said
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("boot", sa.String(32)),  # its window, which may come later or never
    sa.Column("seq", sa.BigInteger),
    sa.Column("label", sa.String(64)),
    sa.Column("width", sa.BigInteger, nullable=False),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # everything but the picture
    sa.Column("jpeg", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("tenant", "trap", "evidence", name="evidence_once"),
    sa.Index("evidence_newest", "tenant", "trap", "id"),
    sqlite_autoincrement=True,
)

labels = sa.Table(
    "labels",  # what people see on crops; each keeps its picture, for evidence makes room for newer
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("tenant", sa.String(36), nullable=False),
    sa.Column("trap", sa.String(36), nullable=False),
    sa.Column("evidence", sa.String(32), nullable=False),
    sa.Column("predicted", sa.String(64), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("model_sha256", sa.String(64), nullable=False),
    sa.Column("label", sa.String(64)),  # NULL: not an insect
    sa.Column("box", sa.JSON, nullable=False),  # of the picture: centre x, centre y, width, height, 0 to 1
    sa.Column("jpeg", sa.LargeBinary, nullable=False),
    sa.Column("labelled_by", sa.String(128), nullable=False),
    sa.Column("labelled_at_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("tenant", "trap", "evidence", name="labels_once"),
    sqlite_autoincrement=True,
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", BigId, primary_key=True),
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
    sa.Column("told", sa.JSON, nullable=False),  # by sender: the state it knows
    # whoever judges: one thing wrong with one trap is one alert
    sa.Index("alerts_live", "tenant", "trap", "kind", unique=True, **_where("closed_ms IS NULL")),
    sa.Index("alerts_closed", "closed_ms"),
    sqlite_autoincrement=True,
)

clocks = sa.Table(
    "clocks",
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("kernel_boot", sa.String(64), primary_key=True),
    # the first and the last trusted reading
    *(sa.Column(name, sa.BigInteger) for name in ("first_mono_ms", "first_wall_ms", "last_mono_ms", "last_wall_ms")),
    sa.Column("latest_ms", sa.BigInteger),  # bounds of wall - mono
    sa.Column("earliest_ms", sa.BigInteger),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("unsynced", sa.Boolean, nullable=False),
)

deployments = sa.Table(
    "deployments",  # a site is a place, a trap a device: a deployment is the stay of one at the other
    metadata,
    sa.Column("id", BigId, primary_key=True),
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
    sa.Column("ends_ms", sa.BigInteger),  # NULL: it still stands
    sa.UniqueConstraint("tenant", "trap", "begins_ms", name="deployments_once"),
    sqlite_autoincrement=True,
)

people = sa.Table(
    "people",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),  # lower case
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password", sa.String(200)),  # argon2id; NULL: none yet
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

links = sa.Table(
    "links",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("purpose", sa.String(16), nullable=False),  # see accounts.links.Purpose
    sa.Column("person", sa.BigInteger, sa.ForeignKey("people.id", name="links_person")),  # NULL: the first admin
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("person", sa.BigInteger, sa.ForeignKey("people.id", name="sessions_person"), nullable=False),
    sa.Column("began_ms", sa.BigInteger, nullable=False),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.String(220), nullable=False),
    sa.Column("expires_ms", sa.BigInteger),
    sa.Column("revoked_ms", sa.BigInteger),
    sqlite_autoincrement=True,
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("who", sa.String(220), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)

notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("tenant", sa.String(36), nullable=False),
    sa.Column("trap", sa.String(36), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("text", sa.String(200), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("by", sa.String(220), nullable=False),
    sa.Column("written_ms", sa.BigInteger, nullable=False),
    sa.Index("notes_of_trap", "tenant", "trap"),
    sqlite_autoincrement=True,
)

stale_hours = sa.Table(
    "stale_hours",  # their windows have changed since they were rolled up
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("hour_ms", sa.BigInteger, primary_key=True),
    sa.Index("stale_hours_by_time", "hour_ms"),
    sqlite_with_rowid=False,
)

lost_effort = sa.Table(
    "lost_effort",  # where lost numbers of a boot were, as far as stored ones tell
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("boot", sa.String(32), primary_key=True),
    sa.Column("first", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("last", "start_ms", "end_ms", "parts", "effort_ms")),
    sa.Column("semantics", sa.String(16), nullable=False),
)

hours = sa.Table(
    "hours",
    metadata,
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("hour_ms", sa.BigInteger, primary_key=True),
    sa.Column("night", sa.String(10), primary_key=True),  # ISO 8601, local date of the evening; noon parts an hour
    sa.Column("deployed_ms", sa.BigInteger, primary_key=True),  # -1: the trap stood nowhere
    sa.Column("semantics", sa.String(16), primary_key=True),
    sa.Column("sealed", sa.Boolean, primary_key=True),  # of windows that retention has taken out
    sa.Column("site", sa.String(200), nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("windows", "counted", "observed_ms", "lost_ms")),
    sa.Column("tally", sa.JSON, nullable=False),  # {class: {count: windows}}
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("thresholds", sa.JSON, nullable=False),
    sa.Column("clock_repaired", sa.Boolean, nullable=False),
    sa.Index("hours_of_night", "tenant", "trap", "night"),
    sqlite_with_rowid=False,
)

nights = sa.Table(
    "nights",
    metadata,
    sa.Column("night", sa.String(10), primary_key=True),
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("deployed_ms", sa.BigInteger, primary_key=True),
    sa.Column("semantics", sa.String(16), primary_key=True),
    sa.Column("site", sa.String(200), nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("begins_ms", "ends_ms")),
    *(sa.Column(name, sa.String(8), nullable=False) for name in ("boundary", "statistic")),
    sa.Column("counts", sa.JSON(none_as_null=True)),
    *(sa.Column(name, sa.Float, nullable=False) for name in ("observed_s", "expected_s", "lost_s", "coverage")),
    sa.Column("problem", sa.Boolean, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("thresholds", sa.JSON, nullable=False),
    sa.Column("clock_repaired", sa.Boolean, nullable=False),
    sa.Column("windows", sa.BigInteger, nullable=False),
    sa.Index("nights_of_trap", "tenant", "trap", "night"),
    sqlite_with_rowid=False,
)

bundles = sa.Table(
    "bundles",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("published_ms", sa.BigInteger, nullable=False),
)

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("digest", sa.String(64), sa.ForeignKey("bundles.digest", name="rollouts_bundle"), nullable=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("plan", "url", "reason")),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("ring", "created_ms", "changed_ms", "deadline_ms")),
)

rollout_traps = sa.Table(
    "rollout_traps",
    metadata,
    sa.Column("rollout", sa.String(16), sa.ForeignKey("rollouts.id", name="rollout_traps_of"), primary_key=True),
    sa.Column("tenant", sa.String(36), primary_key=True),
    sa.Column("trap", sa.String(36), primary_key=True),
    sa.Column("ring", sa.BigInteger, nullable=False),
    sa.Column("offered_ms", sa.BigInteger),  # NULL: not yet told
    sa.Column("state", sa.String(16)),  # as the trap says; NULL: nothing yet
    sa.Column("fetched", sa.BigInteger, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("verdict", sa.String(8), nullable=False),  # the gate's
    sa.Column("verdict_text", sa.Text, nullable=False),
    sa.Column("changed_ms", sa.BigInteger),
)
