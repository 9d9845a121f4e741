"""Which classes lead a card of the page: the sexes where a model tells them apart, else its first four."""

from collections.abc import Iterable

SEXES = {"Female": "Females", "Male": "Males"}
MOST_NUMBERS = 4


def headline(classes: Iterable[str]) -> tuple[str, ...]:
    """The classes shown large and drawn, in their order; the others stand small beside them."""
    known = tuple(classes)
    return tuple(SEXES) if any(name in SEXES for name in known) else known[:MOST_NUMBERS]
