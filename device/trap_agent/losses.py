"""What the outbox can't give any more: windows by range and why, kept on disk until the collector has noted them.

All functions work inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trap_contract.messages import AckRange, LossReason

TABLE: Final = """CREATE TABLE losses (
    place INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    reason TEXT NOT NULL)"""
MOST_NOTED: Final = 10_000
"""Ranges beyond this many are not noted for a request: the collector asks again when these are settled."""

_HELD_IN = """
SELECT MIN(seq), MAX(seq) FROM (
    SELECT seq, seq - ROW_NUMBER() OVER (ORDER BY seq) AS island FROM windows WHERE boot = ? AND seq BETWEEN ? AND ?
) GROUP BY island
"""
_NOTED_IN = "SELECT first, last, reason, place FROM losses WHERE boot = ? AND last >= ? AND first <= ?"


@dataclass(frozen=True, slots=True)
class Loss:
    """Windows that never come, and why."""

    part: AckRange
    reason: LossReason


def note(connection: sqlite3.Connection, boot: str, first: int, last: int, reason: LossReason) -> None:
    """Remember a loss, as part of the one that ends just before it where there is one."""
    query = "UPDATE losses SET last = ? WHERE boot = ? AND last = ? AND reason = ?"
    if connection.execute(query, (last, boot, first - 1, reason)).rowcount == 0:
        row = (boot, first, last, reason)
        connection.execute("INSERT INTO losses (boot, first, last, reason) VALUES (?, ?, ?, ?)", row)


def settle(connection: sqlite3.Connection, part: AckRange) -> None:
    """Forget what an acknowledgement covers; the rest of a range that it covers in part stays."""
    found = connection.execute(_NOTED_IN, (part.boot, part.first, part.last)).fetchall()
    for first, last, reason, place in found:
        connection.execute("DELETE FROM losses WHERE place = ?", (place,))
        if first < part.first:
            note(connection, part.boot, first, part.first - 1, reason)
        if last > part.last:
            note(connection, part.boot, part.last + 1, last, reason)


def noted(connection: sqlite3.Connection, count: int) -> list[Loss]:
    """At most `count` losses, the first noted first."""
    query = "SELECT boot, first, last, reason FROM losses ORDER BY place LIMIT ?"
    return [
        Loss(AckRange(boot=boot, first=first, last=last), reason)
        for boot, first, last, reason in connection.execute(query, (count,))
    ]


def explain(connection: sqlite3.Connection, asked: AckRange, running_boot: str) -> None:
    """Note why the windows asked for that are not held never come; numbers that may still be issued are left out."""
    row = connection.execute("SELECT issued FROM boots WHERE boot = ?", (asked.boot,)).fetchone()
    issued = row[0] if row else 0
    end = min(asked.last, issued) if asked.boot == running_boot else asked.last
    known = (asked.boot, asked.first, end)
    held = connection.execute(_HELD_IN, known).fetchall()
    taken = sorted(held + [row[:2] for row in connection.execute(_NOTED_IN, known)])
    for first, last in _between(taken, asked.first, end):
        if connection.execute("SELECT COUNT(*) FROM losses").fetchone()[0] >= MOST_NOTED:
            return
        if first <= issued:
            note(connection, asked.boot, first, min(last, issued), "acknowledged")
        if last > issued:
            note(connection, asked.boot, max(first, issued + 1), last, "never_held")


def _between(taken: list[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    """What of first..last the sorted ranges leave free."""
    for begin, end in taken:
        if first < begin:
            yield first, begin - 1
        first = max(first, end + 1)
    if first <= last:
        yield first, last
