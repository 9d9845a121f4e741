"""Writers take turns; a look that writes nothing takes none, so it waits for nobody and keeps nobody waiting."""

import sqlalchemy as sa

_OPTION = "only_reads"


def only_reading(engine: sa.Engine) -> sa.Engine:
    """The same database by the same connections, for transactions that only read."""
    return engine.execution_options(**{_OPTION: True})


def takes_turn(connection: sa.Connection) -> bool:
    """Whether the transaction that begins may write."""
    return _OPTION not in connection.get_execution_options()
