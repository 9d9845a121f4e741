"""Live events: only what is committed, in order of commit, so that a page can resume where it was.

One look at the database serves every open page: `Newsroom` looks, as long as somebody listens, and hands the same
events to all of them. A page that comes back, or falls behind, reads what it missed from the database.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import anyio
import sqlalchemy as sa
from sse_starlette import ServerSentEvent
from trap_contract.topics import TrapAddress

from trap_server import completeness, gallery, queries, tonight
from trap_server.answers import FleetRow, IngestHealth, TrapState, WindowAnswer
from trap_server.trap_record import Status, TrapRecord

POLL_S = 0.5
LIMIT = 500
KEPT = 20_000
LONGEST_MS = 10 * 60_000

KINDS = frozenset({"window", "trap", "row", "picture", "ingest"})


@dataclass(frozen=True, slots=True)
class News:
    """One event; `row_id` is that of a window, and `address` None for what is of no trap."""

    kind: str
    data: str
    address: TrapAddress | None = None
    row_id: int | None = None

    def event(self) -> ServerSentEvent:
        """As a page gets it."""
        return ServerSentEvent(self.data, event=self.kind, id=None if self.row_id is None else str(self.row_id))


@dataclass(frozen=True, slots=True)
class Interest:
    """What one page wants to hear of: some kinds of event, of all traps or of one."""

    kinds: frozenset[str] = KINDS
    trap: TrapAddress | None = None

    def wants(self, news: News) -> bool:
        """Whether it is told."""
        return news.kind in self.kinds and (self.trap is None or news.address in (None, self.trap))


class Feed:
    """What happened since the last look: windows and pictures committed, traps whose state changed, ingest."""

    def __init__(self, engine: sa.Engine, after: int | None) -> None:
        self._engine = engine
        self.after = after
        self._last_picture: int | None = None
        self._known: dict[TrapAddress, tuple[TrapRecord, Status]] = {}
        self.told: dict[TrapAddress, TrapState] = {}
        self.ingest: IngestHealth | None = None

    def poll(self, now_ms: int) -> tuple[list[News], bool]:
        """News since the last poll, and whether more waits."""
        is_going = bool(self._known)
        with self._engine.begin() as connection:
            newest = queries.newest_id(connection)
            self.after = newest if self.after is None else min(self.after, newest)
            windows = queries.windows_after(connection, self.after, LIMIT)
            self.after = windows[-1].id if windows else self.after
            changed = self._changed(connection, {_address(one) for one in windows}, now_ms)
            ingest = queries.ingest_health(queries.collectors(connection), now_ms)
            rows = self._rows(connection, changed, now_ms) if is_going else []
            pictures = self._pictures(connection)
        news = [_news("window", one, one.id) for one in windows]
        news += [_news("trap", one) for one in changed] + [_news("row", one) for one in rows] + pictures
        if ingest != self.ingest:
            self.ingest = ingest
            news.append(_ingest(ingest))
        return news, len(windows) == LIMIT

    def _pictures(self, connection: sa.Connection) -> list[News]:
        """Of which traps there are new ones; the page asks for them itself."""
        newest = gallery.newest_id(connection)
        known = newest if self._last_picture is None else self._last_picture
        self._last_picture = newest
        return [_news_of_picture(one) for one in gallery.taken_by(connection, known, newest)] if newest > known else []

    def _rows(self, connection: sa.Connection, changed: Iterable[TrapState], now_ms: int) -> list[FleetRow]:
        """A page has asked for all rows itself; from then on it hears of those that change."""
        addresses = {_address(one) for one in changed}
        return tonight.fleet_rows(connection, now_ms, addresses) if addresses else []

    def _changed(self, connection: sa.Connection, touched: set[TrapAddress], now_ms: int) -> list[TrapState]:
        """The state of each trap whose record changed, or of which a window came."""
        moved = {}
        for record in queries.trap_records(connection):
            address = TrapAddress(record.tenant, record.trap)
            known = (record, record.status(now_ms))
            if address in touched or self._known.get(address) != known:
                self._known[address] = known
                moved[address] = record
        states = completeness.trap_states(connection, now_ms, moved) if moved else {}
        changed = [state for address, state in states.items() if self.told.get(address) != state or address in touched]
        self.told |= states
        return changed


class Newsroom:
    """Looks at the database for all pages at once, while there is one."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock
        self._feed: Feed | None = None
        self._news: deque[News] = deque(maxlen=KEPT)
        self._count = 0
        self._listeners = 0
        self._looking = anyio.Lock()
        self._looked_s = 0.0

    async def listen(
        self, interest: Interest, after: int | None, ending: anyio.Event
    ) -> AsyncIterator[ServerSentEvent]:
        """Events for as long as the page listens and the server is not `ending`, but not for ever.

        A page comes back by itself where it was, unless its session has ended meanwhile.
        Windows are those behind the row `after`, or those committed from now on where that is None; traps, ingest and
        that one trap has pictures are told as they are, and then whenever they change.
        """
        self._listeners += 1
        try:
            feed = await self._present()
            place, now_at = self._count, feed.after or 0
            async for news in self._missed(now_at if after is None else after, now_at):
                if interest.wants(news):
                    yield news.event()
            for news in _present(feed, interest):
                if interest.wants(news):
                    yield news.event()
            ends_ms = self._clock() + LONGEST_MS
            while not ending.is_set() and self._clock() < ends_ms:
                with anyio.move_on_after(POLL_S):
                    await ending.wait()
                await self._look(feed)
                for news in self._since(place):
                    if interest.wants(news):
                        yield news.event()
                place = self._count
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._feed = None

    async def _present(self) -> Feed:
        """The feed, begun where nobody listened before."""
        async with self._looking:
            if self._feed is None:
                feed = Feed(self._engine, None)
                await anyio.to_thread.run_sync(feed.poll, self._clock())
                self._news.clear()
                self._feed, self._looked_s = feed, anyio.current_time()
            return self._feed

    async def _look(self, feed: Feed) -> None:
        """Look, unless another page's turn has just done it."""
        async with self._looking:
            if anyio.current_time() - self._looked_s < POLL_S / 2:
                return
            more = True
            while more:
                news, more = await anyio.to_thread.run_sync(feed.poll, self._clock())
                self._news.extend(news)
                self._count += len(news)
            self._looked_s = anyio.current_time()

    def _since(self, place: int) -> list[News]:
        """Events behind a place. Raises LookupError when they are not kept any more: the page comes back by its id."""
        behind = self._count - place
        if behind > len(self._news):
            raise LookupError(f"a page is {behind} events behind")
        return list(islice(self._news, len(self._news) - behind, None))

    async def _missed(self, after: int, until: int) -> AsyncIterator[News]:
        """Windows behind the row `after` up to the row `until`."""
        while after < until:
            news = await anyio.to_thread.run_sync(self._read, after, until)
            for one in news:
                yield one
            after = (news[-1].row_id or until) if len(news) == LIMIT else until

    def _read(self, after: int, until: int) -> list[News]:
        with self._engine.begin() as connection:
            return [
                _news("window", one, one.id)
                for one in queries.windows_after(connection, after, LIMIT)
                if one.id <= until
            ]


def _present(feed: Feed, interest: Interest) -> list[News]:
    """As it is now; the pictures of a trap may be others than those a page asked for before it listened."""
    pictures = [] if interest.trap is None else [_news_of_picture(interest.trap)]
    return [_news("trap", state) for state in feed.told.values()] + [_ingest(feed.ingest)] + pictures


def _address(one: TrapState | WindowAnswer) -> TrapAddress:
    return TrapAddress(one.tenant, one.trap)


def _news(kind: str, one: TrapState | WindowAnswer, row_id: int | None = None) -> News:
    return News(kind, one.model_dump_json(), _address(one), row_id)


def _news_of_picture(address: TrapAddress) -> News:
    return News("picture", json.dumps({"tenant": address.tenant, "trap": address.trap}), address)


def _ingest(health: IngestHealth | None) -> News:
    return News("ingest", json.dumps({"ingest": health}))
