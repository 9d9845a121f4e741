"""A TCP relay that cuts a connection off in mid-answer, and tells how much each one carried."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass
class CuttingRelay:
    """Forwards to `target`; the answers of its first connections end after so many bytes, 0 lets one pass whole."""

    target: int
    cut_after: list[int]
    carried: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self.target))
                number = len(self.carried)
                self.carried.append(0)
                for way in ((ours, theirs, None), (theirs, ours, number)):
                    threading.Thread(target=self._forward, args=way, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, answers: int | None) -> None:
        limit = self.cut_after[answers] if answers is not None and answers < len(self.cut_after) else 0
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                sink.sendall(data)
                if answers is None:
                    continue
                self.carried[answers] += len(data)
                if limit and self.carried[answers] >= limit:
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
