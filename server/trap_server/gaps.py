"""Where every number of a boot is: stored, missing or lost for good; pure."""

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

Range = tuple[int, int]
"""First and last, both included."""

Neighbours = tuple[int | None, int | None]
"""The numbers next to a range; None where there is none."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The numbers 1 to `last` of one boot of one trap; those neither missing nor lost are stored.

    `missing` and `lost` are ascending, disjoint ranges.
    """

    last: int = 0
    missing: tuple[Range, ...] = ()
    lost: tuple[Range, ...] = ()

    def with_known(self, last: int) -> "Ledger":
        """After word that numbers up to `last` were given out."""
        if last <= self.last:
            return self
        return replace(self, last=last, missing=joined([*self.missing, (self.last + 1, last)]))

    def with_stored(self, seqs: Iterable[int]) -> "Ledger":
        """After these were stored; what was thought lost may come all the same."""
        arrived = joined((seq, seq) for seq in seqs)
        if not arrived:
            return self
        known = self.with_known(arrived[-1][1])
        return Ledger(known.last, without(known.missing, arrived), without(known.lost, arrived))

    def with_lost(self, ranges: Iterable[Range]) -> "Ledger":
        """After the trap gave these up; what is stored stays stored."""
        given_up = joined(ranges)
        if not given_up:
            return self
        known = self.with_known(given_up[-1][1])
        gone = without(known.missing, without(known.missing, given_up))
        return Ledger(known.last, without(known.missing, gone), joined([*known.lost, *gone]))

    def beside_lost(self) -> dict[Range, Neighbours]:
        """For each lost range the nearest numbers that were stored, below and above it."""
        if not self.lost:
            return {}
        stored = self.stored()
        places = (bisect(stored, lost) for lost in self.lost)
        return {
            lost: (stored[at - 1][1] if at else None, stored[at][0] if at < len(stored) else None)
            for lost, at in zip(self.lost, places, strict=True)
        }

    def stored(self) -> tuple[Range, ...]:
        """Every number that was stored once, even if its window was aged out since."""
        return without(((1, self.last),) if self.last else (), joined([*self.missing, *self.lost]))

    def has_stored(self, seq: int) -> bool:
        """Whether this number was stored once, even if its window was aged out since."""
        return seq <= self.last and not any(first <= seq <= last for first, last in (*self.missing, *self.lost))


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The fewest ascending ranges that cover exactly the same numbers."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def without(ranges: Iterable[Range], taken: tuple[Range, ...]) -> tuple[Range, ...]:
    """The numbers of `ranges` that are not in `taken`; both ascending and disjoint."""
    return tuple(_without(ranges, taken))


def _without(ranges: Iterable[Range], taken: tuple[Range, ...]) -> Iterator[Range]:
    place = 0
    for begin, last in ranges:
        first = begin
        while place < len(taken) and taken[place][1] < first:
            place += 1
        at = place
        while at < len(taken) and taken[at][0] <= last:
            if taken[at][0] > first:
                yield first, taken[at][0] - 1
            first = taken[at][1] + 1
            at += 1
        if first <= last:
            yield first, last
