"""PostgreSQL, used as SQLite is: one writer at a time, so that ids grow in the order of commit.

The collectors take turns by an advisory lock for the length of a batch; reading and checking messages, which costs
most, they do side by side.
"""

import sqlalchemy as sa
from trap_contract.errors import ConfigError

from trap_server.turns import takes_turn

DRIVER = "postgresql+psycopg"
WRITER_LOCK = 0x7A616E  # "zan"; advisory locks are numbers
CONNECT_S = 5
PATIENCE_MS = 30_000  # a writer that was frozen in its turn loses it


def writing_engine(url: sa.URL) -> sa.Engine:
    """Each transaction waits for its turn, and is on disk when it is committed. Raises ConfigError."""
    settings = {
        "synchronous_commit": "on",
        "lock_timeout": PATIENCE_MS,
        "idle_in_transaction_session_timeout": PATIENCE_MS,
    }
    engine = _engine(url, settings, "READ COMMITTED")

    @sa.event.listens_for(engine, "begin")
    def _take_turn(connection: sa.Connection) -> None:
        if takes_turn(connection):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    return engine


def reading_engine(url: sa.URL) -> sa.Engine:
    """Each transaction sees one state of the database, and can't write. Raises ConfigError."""
    return _engine(url, {"default_transaction_read_only": "on"}, "REPEATABLE READ")


def _engine(url: sa.URL, settings: dict[str, object], isolation: str) -> sa.Engine:
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    try:
        return sa.create_engine(
            url,
            isolation_level=isolation,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"options": options, "connect_timeout": CONNECT_S, "tcp_user_timeout": PATIENCE_MS},
        )
    except ModuleNotFoundError as error:
        raise ConfigError(f"{DRIVER} needs the package {error.name}: install zancudo[server,postgres]") from error
