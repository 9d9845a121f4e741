"""What `trap-server check` counts."""

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from trap_server.audit import missing_ranges, take_account
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

from server.traps import make_batch, make_window


@given(st.sets(st.integers(1, 80), min_size=1))
def test_stored_and_missing_numbers_make_up_all_numbers_up_to_the_last(seqs: set[int]):
    missing = [number for first, last in missing_ranges(sorted(seqs)) for number in range(first, last + 1)]
    assert sorted(seqs | set(missing)) == list(range(1, max(seqs) + 1))
    assert seqs.isdisjoint(missing)


def test_one_trap_can_be_asked_for_alone(engine: sa.Engine):
    store = Store(engine, "c")
    for trap, payload in (
        ("a", make_batch([make_window(2)], "a")),
        ("b", make_batch([make_window(1)], "b")),
        ("b", b"?"),
    ):
        store.commit(sort_arrivals([Arrival(f"mt/v1/demo/{trap}/counts", payload, False, 1)]))
    with engine.begin() as connection:
        everything, only = take_account(connection, None), take_account(connection, "a")
    assert (everything.stored, everything.missing, everything.quarantined) == (2, 1, 1)
    assert [(boot.trap, boot.missing) for boot in only.boots] == [("a", ((1, 1),))]
    assert (only.stored, only.quarantined) == (1, 0)
