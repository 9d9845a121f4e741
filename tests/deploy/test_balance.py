from typing import Any

import pytest
from trap_deploy.balance import balance

A, B = "a" * 32, "b" * 32


def trap(**boots: int) -> dict[str, Any]:
    return {
        "boots": [
            {"boot": boot, "issued": issued, "acknowledged": issued, "pending": 0, "dropped": 0}
            for boot, issued in boots.items()
        ]
    }


def collector(**boots: int) -> dict[str, Any]:
    rows = [{"boot": boot, "first": 1, "last": stored, "stored": stored} for boot, stored in boots.items()]
    return {"boots": rows, "stored": sum(boots.values()), "missing": 0, "collisions": 0, "quarantined": 0}


def test_books_are_even_when_every_boot_agrees():
    result = balance(trap(**{A: 5, B: 2}), collector(**{A: 5, B: 2}))
    assert result.is_even
    assert (result.issued, result.stored, result.acknowledged) == (7, 7, 7)


def test_a_boot_that_closed_no_window_does_not_upset_the_books():
    assert balance(trap(**{A: 5, B: 0}), collector(**{A: 5})).is_even


def test_nothing_published_is_not_a_success():
    assert not balance(trap(), collector()).is_even


def test_equal_sums_of_different_boots_are_not_even():
    assert not balance(trap(**{A: 3, B: 4}), collector(**{A: 4, B: 3})).is_even


def test_a_stored_window_that_was_never_issued_is_not_even():
    assert not balance(trap(**{A: 3}), collector(**{A: 3, B: 1})).is_even


@pytest.mark.parametrize("fault", ["missing", "collisions", "quarantined"])
def test_a_fault_at_the_collector_is_not_even(fault: str):
    assert not balance(trap(**{A: 3}), collector(**{A: 3}) | {fault: 1}).is_even


@pytest.mark.parametrize("fault", ["pending", "dropped"])
def test_a_window_that_the_trap_holds_or_dropped_is_not_even(fault: str):
    books = trap(**{A: 3})
    books["boots"][0] |= {fault: 1, "acknowledged": 2}
    assert not balance(books, collector(**{A: 3})).is_even
