"""What every part of the API needs of a request: a database to read or to write, the time, and checked text.

Who asks is in `entry.py`.
"""

import datetime as dt
import unicodedata
from collections.abc import Callable, Iterator
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, HTTPException, Path, Query, Request
from pydantic import AfterValidator, Field, StringConstraints
from trap_contract.messages import MAX_SEQ
from trap_contract.topics import NAME_PATTERN, TrapAddress

from trap_server import queries
from trap_server.trap_record import TrapRecord

UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of surrogate pairs, line and paragraph ends
LAST_MS = 253_370_764_800_000  # the year 9999: calendars end there


def engine_of(request: Request) -> sa.Engine:
    """The database that the application reads."""
    engine: sa.Engine = request.app.state.engine
    return engine


def writing_engine_of(request: Request) -> sa.Engine:
    """The same database, to write."""
    engine: sa.Engine = request.app.state.writing
    return engine


def clock_of(request: Request) -> Callable[[], int]:
    """The clock that the application was built with: milliseconds, UTC."""
    clock: Callable[[], int] = request.app.state.clock
    return clock


def connect(engine: Annotated[sa.Engine, Depends(engine_of)]) -> Iterator[sa.Connection]:
    """One consistent view of the database for one request."""
    with engine.begin() as connection:
        yield connection


def connect_to_write(engine: Annotated[sa.Engine, Depends(writing_engine_of)]) -> Iterator[sa.Connection]:
    """One transaction, committed before the answer is sent."""
    with engine.begin() as connection:
        yield connection


def read_clock(clock: Annotated[Callable[[], int], Depends(clock_of)]) -> int:
    """Now, in milliseconds."""
    return clock()


def _printable(text: str) -> str:
    if any(unicodedata.category(sign) in UNPRINTABLE for sign in text):
        raise ValueError("has a control character")
    return text


Engine = Annotated[sa.Engine, Depends(engine_of)]
Clock = Annotated[Callable[[], int], Depends(clock_of)]
Connection = Annotated[sa.Connection, Depends(connect)]
Writing = Annotated[sa.Connection, Depends(connect_to_write, scope="function")]
NowMs = Annotated[int, Depends(read_clock)]
NameText = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
Name = Annotated[NameText, Path()]
Number = Annotated[int, Path(ge=1, le=MAX_SEQ)]
Moment = Annotated[int, Query(ge=0, le=MAX_SEQ, description="milliseconds since 1970, UTC")]
Date = Annotated[dt.date | None, Query(description="local date of the evening; for hours and windows a date in UTC")]
After = Annotated[int, Query(ge=0, le=MAX_SEQ, description="next_cursor of the last page")]
Before = Annotated[int | None, Query(ge=1, le=MAX_SEQ, description="next_cursor of the last page; newest first")]
Limit = Annotated[int, Query(ge=1, le=1000)]
CalendarMs = Annotated[int, Field(ge=0, le=LAST_MS, description="milliseconds since 1970, UTC")]
Printable = AfterValidator(_printable)
Line = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True), Printable]
"""One line of text, as people write it."""
FilledLine = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), Printable]


def find_trap(tenant: Name, trap: Name, connection: Connection) -> TrapRecord:
    """The trap that the address names; 404 when nothing ever came from it."""
    record = queries.trap_record(connection, TrapAddress(tenant, trap))
    if record is None:
        raise HTTPException(404, f"nothing has come from a trap {trap!r} of tenant {tenant!r}; see /api/v1/traps")
    return record


Trap = Annotated[TrapRecord, Depends(find_trap)]
