"""A TCP proxy that can be made as bad as a field link: slow, late, frozen, reset; asyncio, in a thread."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

CHUNK = 4096


@dataclass
class ChaosProxy:
    """Forwards `port` to `target`. The knobs may be turned at any time, from any thread.

    `latency_s` is each way; `bytes_a_second` of each connection and way; `frozen` keeps connections open and forwards
    nothing (a half-open link); `refusing` closes new ones at once. The answers of its first connections end after
    `cut_after` bytes each, 0 lets one pass whole; `answered` tells how much each connection has answered.
    """

    target: int
    port: int = 0
    latency_s: float = 0.0
    bytes_a_second: float = 0.0
    frozen: bool = False
    refusing: bool = False
    cut_after: Sequence[int] = ()
    answered: list[int] = field(default_factory=list)
    _links: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def reset(self) -> None:
        """End every connection with RST."""
        self._loop.call_soon_threadsafe(self._reset)

    def heal(self) -> None:
        """A good link again; what was frozen for long is ended, as a router would."""
        was_frozen, self.frozen = self.frozen, False
        self.latency_s, self.bytes_a_second, self.refusing = 0.0, 0.0, False
        if was_frozen:
            self.reset()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    def _reset(self) -> None:
        for link in list(self._links):
            raw = link.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._links |= {writer, back}
        asked, answered = self._pump(reader, back), self._pump(there, writer, self._meter())
        ways = [asyncio.ensure_future(way) for way in (asked, answered)]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, back):
            one.transport.abort()
            self._links.discard(one)
        await asyncio.gather(*ways, return_exceptions=True)

    def _meter(self) -> Callable[[int], bool]:
        """Counts what a new connection answers, and tells when it is to be cut."""
        number = len(self.answered)
        limit = self.cut_after[number] if number < len(self.cut_after) else 0
        self.answered.append(0)

        def is_used_up(size: int) -> bool:
            self.answered[number] += size
            return 0 < limit <= self.answered[number]

        return is_used_up

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        is_used_up: Callable[[int], bool] = lambda _: False,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await asyncio.sleep(self.latency_s)
                if self.bytes_a_second:
                    await asyncio.sleep(len(data) / self.bytes_a_second)
                while self.frozen:  # noqa: ASYNC110  set from another thread
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
                if is_used_up(len(data)):
                    break
