"""Every number of a boot is in exactly one place, whatever comes in whatever order."""

from hypothesis import given
from hypothesis import strategies as st
from trap_server.gaps import Ledger, Range, joined, without

numbers = st.integers(1, 40)
ranges = st.tuples(numbers, numbers).map(lambda ends: (min(ends), max(ends)))


def members(found: tuple[Range, ...]) -> list[int]:
    return [number for first, last in found for number in range(first, last + 1)]


@given(st.lists(ranges), st.lists(ranges))
def test_ranges_are_sets_of_numbers(some: list[Range], others: list[Range]):
    one, other = joined(some), joined(others)
    assert members(one) == sorted({number for first, last in some for number in range(first, last + 1)})
    assert members(without(one, other)) == sorted(set(members(one)) - set(members(other)))


events = st.lists(
    st.tuples(st.just("stored"), st.lists(numbers, min_size=1, max_size=6))
    | st.tuples(st.just("lost"), st.lists(ranges, min_size=1, max_size=3))
    | st.tuples(st.just("known"), numbers),
    max_size=12,
)


@given(events)
def test_a_ledger_agrees_with_sets(happened: list[tuple[str, object]]):
    ledger, stored, lost, last = Ledger(), set(), set(), 0
    for what, told in happened:
        if what == "stored":
            ledger = ledger.with_stored(told)
            stored |= set(told)
            lost -= set(told)
            last = max(last, *told)
        elif what == "lost":
            ledger = ledger.with_lost(told)
            lost |= set(members(tuple(told))) - stored
            last = max(last, *(end for _, end in told))
        else:
            ledger = ledger.with_known(told)
            last = max(last, told)
        assert ledger.last == last
        assert members(ledger.lost) == sorted(lost)
        assert members(ledger.missing) == sorted(set(range(1, last + 1)) - stored - lost)
        for (first, end), (below, above) in ledger.beside_lost().items():
            assert below == max({number for number in stored if number < first}, default=None)
            assert above == min({number for number in stored if number > end}, default=None)
        assert [*ledger.beside_lost()] == [*ledger.lost]
        assert all(ledger.has_stored(number) == (number in stored) for number in range(1, 45))
