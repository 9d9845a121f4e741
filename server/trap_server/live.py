"""Live events: only what is committed, in order of commit, so that a page can resume where it was."""

import json
from collections.abc import AsyncIterator, Callable

import anyio
import sqlalchemy as sa
from sse_starlette import ServerSentEvent
from trap_contract.topics import TrapAddress

from trap_server import queries
from trap_server.answers import IngestHealth, TrapState
from trap_server.trap_record import Status, TrapRecord

POLL_S = 1.0
LIMIT = 500


class Feed:
    """What one open page has been told so far.

    `window` events carry the row's id and are resumed by it; `trap` events tell a trap's present state, all of them
    at first, and then each change; `ingest` events do the same for ingest.
    """

    def __init__(self, engine: sa.Engine, after: int | None) -> None:
        self._engine = engine
        self._after = after
        self._known: dict[TrapAddress, tuple[TrapRecord, Status]] = {}
        self._told: dict[TrapAddress, TrapState] = {}
        self._ingest: IngestHealth | None = None

    def poll(self, now_ms: int) -> tuple[list[ServerSentEvent], bool]:
        """News since the last poll, and whether more waits."""
        with self._engine.begin() as connection:
            newest = queries.newest_id(connection)
            self._after = newest if self._after is None else min(self._after, newest)
            windows = queries.windows_after(connection, self._after, LIMIT)
            events = [_event("window", one.model_dump_json(), str(one.id)) for one in windows]
            self._after = windows[-1].id if windows else self._after
            touched = {TrapAddress(one.tenant, one.trap) for one in windows}
            events += [_event("trap", state.model_dump_json()) for state in self._changed(connection, touched, now_ms)]
            ingest = queries.ingest_health(queries.collectors(connection), now_ms)
        if ingest != self._ingest:
            self._ingest = ingest
            events.append(_event("ingest", json.dumps({"ingest": ingest})))
        return events, len(windows) == LIMIT

    def _changed(self, connection: sa.Connection, touched: set[TrapAddress], now_ms: int) -> list[TrapState]:
        changed = []
        for record in queries.trap_records(connection):
            address = TrapAddress(record.tenant, record.trap)
            known = (record, record.status(now_ms))
            if address not in touched and self._known.get(address) == known:
                continue
            self._known[address] = known
            state = queries.trap_state(connection, record, now_ms)
            if self._told.get(address) != state:
                self._told[address] = state
                changed.append(state)
        return changed


async def stream(feed: Feed, clock: Callable[[], int], ending: anyio.Event) -> AsyncIterator[ServerSentEvent]:
    """Events for as long as the page listens and the server is not `ending`."""
    while not ending.is_set():
        events, more = await anyio.to_thread.run_sync(feed.poll, clock())
        for event in events:
            yield event
        if not more:
            with anyio.move_on_after(POLL_S):
                await ending.wait()


def _event(name: str, data: str, row_id: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data, event=name, id=row_id)
