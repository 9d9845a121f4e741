"""What the outbox says of windows that never come."""

from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st
from trap_agent import losses
from trap_agent.outbox import Outbox

from device.samples import draft
from device.test_outbox import ADDRESS, BOOT, NEXT_BOOT, opened, span

STRANGER = "c" * 32


def told(outbox: Outbox) -> list[tuple[str, int, int, str]]:
    return [(loss.part.boot, loss.part.first, loss.part.last, loss.reason) for loss in outbox.losses(99)]


def fill(outbox: Outbox, count: int) -> None:
    for _ in range(count):
        outbox.store(draft())


def test_what_a_full_outbox_gives_up_is_one_range_that_outlives_a_restart(tmp_path):
    with opened(tmp_path, limit=3) as outbox:
        fill(outbox, 7)
    with opened(tmp_path, NEXT_BOOT, limit=3) as outbox:
        assert told(outbox) == [(BOOT, 1, 4, "outbox_full")]


def test_a_damaged_window_is_told_as_damaged(tmp_path):
    with opened(tmp_path) as outbox:
        fill(outbox, 3)
        outbox._connection.execute("UPDATE windows SET body = 'torn' WHERE seq = 2")
        outbox.load(outbox.oldest(9))
        assert told(outbox) == [(BOOT, 2, 2, "outbox_damaged")]


def test_an_acknowledgement_settles_the_part_that_it_covers(tmp_path):
    with opened(tmp_path, limit=1) as outbox:
        fill(outbox, 10)
        assert outbox.acknowledge([span(3, 4)]) == 0
        assert told(outbox) == [(BOOT, 1, 2, "outbox_full"), (BOOT, 5, 9, "outbox_full")]
        outbox.acknowledge([span(1, 99)])
        assert told(outbox) == []


def test_of_what_is_asked_for_the_held_is_given_and_the_rest_explained(tmp_path):
    with opened(tmp_path, limit=6) as outbox:
        fill(outbox, 8)
        outbox.acknowledge([span(4, 5)])
    with opened(tmp_path, NEXT_BOOT) as outbox:
        assert outbox.requested([span(1, 10)], 99) == [(BOOT, 3), (BOOT, 6), (BOOT, 7), (BOOT, 8)]
        assert told(outbox) == [
            (BOOT, 1, 2, "outbox_full"),
            (BOOT, 4, 5, "acknowledged"),
            (BOOT, 9, 10, "never_held"),
        ]


def test_a_stranger_s_windows_were_never_held(tmp_path):
    with opened(tmp_path) as outbox:
        assert outbox.requested([span(1, 2**53 - 1, STRANGER)], 99) == []
        assert told(outbox) == [(STRANGER, 1, 2**53 - 1, "never_held")]


def test_a_number_that_this_run_may_still_issue_is_not_called_lost(tmp_path):
    with opened(tmp_path) as outbox:
        fill(outbox, 2)
        assert outbox.requested([span(2, 50)], 99) == [(BOOT, 2)]
        assert told(outbox) == []


def test_asking_twice_explains_once(tmp_path):
    with opened(tmp_path) as outbox:
        for _ in range(2):
            outbox.requested([span(1, 5, STRANGER), span(3, 9, STRANGER)], 99)
        assert told(outbox) == [(STRANGER, 1, 9, "never_held")]


def test_absurd_requests_are_explained_up_to_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "MOST_NOTED", 5)
    with opened(tmp_path) as outbox:
        outbox.requested([span(2 * number, 2 * number, STRANGER) for number in range(1, 50)], 99)
        assert len(told(outbox)) == 5


STEP = st.one_of(
    st.tuples(st.just("store"), st.integers(1, 5), st.just(0)),
    st.tuples(st.sampled_from(["ack", "ask"]), st.integers(1, 40), st.integers(0, 20)),
)


@settings(max_examples=40)
@given(st.integers(1, 6), st.lists(STEP, max_size=20))
def test_every_number_issued_is_held_or_lost_or_acknowledged_and_never_two_of_them(tmp_path_factory, limit, steps):
    with closing(Outbox(tmp_path_factory.mktemp("o"), ADDRESS, BOOT, 0, limit)) as outbox:
        issued, acknowledged = 0, set()
        for kind, number, length in steps:
            if kind == "store":
                fill(outbox, number)
                issued += number
            elif kind == "ack":
                outbox.acknowledge([span(number, number + length)])
                acknowledged |= set(range(number, min(number + length, issued) + 1))
            else:
                outbox.requested([span(number, number + length)], 99)
            held = {seq for _, seq in outbox.oldest(999)}
            lost = [seq for loss in outbox.losses(999) for seq in range(loss.part.first, loss.part.last + 1)]
            assert len(lost) == len(set(lost))
            assert held.isdisjoint(lost)
            assert held | set(lost) | acknowledged == set(range(1, issued + 1))
