"""What the one-shot commands print."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from rich.text import Text

from trap_agent.counting import PictureCount, named_counts
from trap_agent.selftest import Result
from trap_agent.trial import GOOD_WINDOWS, Slots

Item = TypeVar("Item")


def print_lines(counted: Iterable[PictureCount], classes: tuple[str, ...], total: int) -> int:
    """One JSON line a picture; how many could not be read."""
    errors = 0
    for picture in _with_progress(counted, total, "Counting"):
        errors += picture.analysis is None
        print(json.dumps(picture_record(picture, classes)), flush=True)
    return errors


def picture_record(picture: PictureCount, classes: tuple[str, ...]) -> dict[str, object]:
    """The JSON form: counts with zeros and boxes in px of the picture, or the error and no counts."""
    if picture.analysis is None:
        return {"picture": picture.path.name, "error": picture.error}
    found = picture.analysis.found
    rows = zip(found.boxes.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
    return {
        "picture": picture.path.name,
        "counts": named_counts(found, classes),
        "boxes": [[*(round(side, 1) for side in box), classes[label], round(score, 4)] for box, label, score in rows],
        "ms": round(picture.analysis.latency_ms, 2),
    }


def print_table(counted: Iterable[PictureCount], classes: tuple[str, ...], total: int) -> int:
    """A table with a row a picture and their sum, errors on stderr; how many could not be read."""
    table = Table("Picture", *[_right(name) for name in (*classes, "Total")])
    sums: Counter[str] = Counter()
    errors = 0
    for picture in _with_progress(counted, total, "Counting"):
        if picture.analysis is None:
            errors += 1
            print(f"error: {picture.error}", file=sys.stderr)
            continue
        counts = named_counts(picture.analysis.found, classes)
        sums.update(counts)
        table.add_row(str(picture.path), *map(str, counts.values()), str(sum(counts.values())))
    table.add_section()
    table.add_row("Sum", *(str(sums[name]) for name in classes), str(sums.total()), style="bold")
    _console().print(table)
    return errors


def print_account(account: dict[str, Any], *, as_json: bool) -> None:
    """What became of the windows of an outbox."""
    if as_json:
        print(json.dumps(account))
        return
    columns = ("issued", "acknowledged", "pending", "dropped")
    table = Table("Boot", *[_right(name) for name in columns], title=f"trap {account['trap']}, {account['tenant']}")
    for boot in account["boots"]:
        table.add_row(boot["boot"], *(str(boot[name]) for name in columns))
    table.add_section()
    table.add_row("All", *(str(account[name]) for name in columns), style="bold")
    _console().print(table)


def print_slots(slots: Slots, *, as_json: bool) -> None:
    """What lies in the two slots."""
    if as_json:
        print(slots.model_dump_json())
        return
    table = Table("Slot", "Bundle", "State", _right("ms a frame"), caption=slots.outcome or None)
    for slot, name in sorted(slots.bundles.items()):
        windows = len(slots.trial.latencies_ms) if slots.trial else 0
        trial = f"on trial, {windows} of {GOOD_WINDOWS} windows" if slots.trial else "active"
        latency_ms = slots.latency_ms.get(slot)
        table.add_row(slot, name, trial if slot == slots.active else "", f"{latency_ms:.1f}" if latency_ms else "")
    _console().print(table)


def print_results(results: Iterable[Result], total: int, *, as_json: bool) -> int:
    """A row a check, green or red, or one JSON object; how many are red."""
    done = list(_with_progress(results, total, "Testing"))
    red = sum(not result.is_good for result in done)
    if as_json:
        print(json.dumps({"good": red == 0, "checks": [asdict(result) for result in done]}))
        return red
    table = Table("Check", "", "What was seen, or what to do")
    for result in done:
        colour = "green" if result.is_good else "red"
        table.add_row(result.name, Text("good" if result.is_good else "BAD", style=colour), Text(result.text))
    _console().print(table)
    return red


def _right(name: str) -> Column:
    return Column(name, justify="right")


def _console() -> Console:
    """Standard output; as wide as it needs to be where nobody looks at it."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def _with_progress(items: Iterable[Item], total: int, what: str) -> Iterable[Item]:
    console = Console(stderr=True)
    return track(items, what, total, console=console, transient=True, disable=not console.is_terminal)
