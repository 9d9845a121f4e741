import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.delivery import MAX_IN_FLIGHT, RESEND_CAP_S, RESEND_S, Delivery, Parcel
from trap_contract.backoff import doubled
from trap_contract.messages import MAX_WINDOWS, AckRange, ranges_of

BOOT = "a" * 32
Key = tuple[str, int]


class Held:
    """What an outbox would hold."""

    def __init__(self, count: int = 0) -> None:
        self.keys: list[Key] = [(BOOT, seq) for seq in range(1, count + 1)]

    def oldest(self, count: int) -> list[Key]:
        return self.keys[:count]

    def add(self) -> Key:
        self.keys.append((BOOT, len(self.keys) + 1))
        return self.keys[-1]


def new_delivery() -> Delivery:
    delivery = Delivery(live_for_s=60, rng=np.random.default_rng(0))
    delivery.connected()
    return delivery


def send_all(delivery: Delivery, held: Held, now_s: float) -> list[Parcel]:
    parcels = []
    while (parcel := delivery.next(now_s, held.oldest)) is not None:
        parcels.append(parcel)
    return parcels


def seqs(parcel: Parcel) -> list[int]:
    return [seq for _, seq in parcel.keys]


def test_a_backlog_goes_oldest_first_in_full_messages_of_which_at_most_eight_fly():
    parcels = send_all(new_delivery(), Held(1000), 0)
    assert len(parcels) == MAX_IN_FLIGHT
    assert [seq for parcel in parcels for seq in seqs(parcel)] == list(range(1, MAX_IN_FLIGHT * MAX_WINDOWS + 1))
    assert all(parcel.is_backlog for parcel in parcels)


def test_a_broker_that_takes_less_is_sent_less():
    delivery = new_delivery()
    delivery.connected(most_in_flight=3)
    assert len(send_all(delivery, Held(1000), 0)) == 3


def test_a_window_closed_lately_goes_before_the_backlog_and_is_not_called_backlog():
    delivery, held = new_delivery(), Held(100)
    delivery.closed(held.add(), 0)
    first, second, third = send_all(delivery, held, 1)
    assert (seqs(first), first.is_backlog) == ([101], False)
    assert (seqs(second), second.is_backlog) == (list(range(1, 61)), True)
    assert seqs(third) == list(range(61, 101))


def test_a_window_that_waited_too_long_is_backlog():
    delivery, held = new_delivery(), Held()
    delivery.closed(held.add(), 0)
    (parcel,) = send_all(delivery, held, 61)
    assert parcel.is_backlog


def test_nothing_is_sent_twice_while_it_may_still_be_acknowledged():
    delivery, held = new_delivery(), Held(100)
    assert len(send_all(delivery, held, 0)) == 2
    assert send_all(delivery, held, RESEND_S * 0.7) == []


def test_what_stays_unacknowledged_is_sent_again_after_ever_longer_waits():
    delivery, held = new_delivery(), Held(1)
    sent_s, now_s = [], 0.0
    while len(sent_s) < 8:
        if delivery.next(now_s, held.oldest):
            sent_s.append(now_s)
        now_s += 0.5
    waits = np.diff(sent_s)
    for attempt, wait_s in enumerate(waits):
        assert 0.79 * doubled(attempt, RESEND_S, RESEND_CAP_S) <= wait_s <= doubled(attempt, RESEND_S, RESEND_CAP_S) + 1
    assert max(waits) <= RESEND_CAP_S + 1


def test_a_live_window_sent_again_much_later_is_backlog_by_then():
    delivery, held = new_delivery(), Held()
    delivery.closed(held.add(), 0)
    flags = []
    for now_s in (0, 21, 70):
        parcel = delivery.next(now_s, held.oldest)
        assert parcel is not None
        flags.append(parcel.is_backlog)
    assert flags == [False, False, True]


def test_a_new_connection_sends_everything_that_is_held_at_once():
    delivery, held = new_delivery(), Held(100)
    before = send_all(delivery, held, 0)
    delivery.connected()
    assert [parcel.keys for parcel in send_all(delivery, held, 1)] == [parcel.keys for parcel in before]


def test_an_acknowledgement_frees_a_place_for_the_next():
    delivery, held = new_delivery(), Held(1000)
    first = send_all(delivery, held, 0)[0]
    delivery.acknowledged(ranges_of(list(first.keys)), 1)
    del held.keys[: len(first.keys)]
    assert [seqs(parcel)[0] for parcel in send_all(delivery, held, 1)] == [481]


def test_a_part_acknowledged_leaves_the_rest_in_flight():
    delivery, held = new_delivery(), Held(10)
    send_all(delivery, held, 0)
    delivery.acknowledged([AckRange(boot=BOOT, first=1, last=7)], 1)
    assert [seqs(parcel) for parcel in delivery.in_flight] == [[8, 9, 10]]


def test_an_acknowledgement_shortens_the_wait_of_what_was_sent_in_vain():
    delivery, held = new_delivery(), Held(120)
    now_s = 0.0
    for _ in range(6):
        send_all(delivery, held, now_s)
        now_s += RESEND_CAP_S + 1
    send_all(delivery, held, now_s)
    delivery.acknowledged([AckRange(boot=BOOT, first=1, last=60)], now_s)
    held.keys = held.keys[60:]
    assert len(send_all(delivery, held, now_s + RESEND_S)) == 1


def test_a_foreign_acknowledgement_settles_nothing():
    delivery, held = new_delivery(), Held(10)
    send_all(delivery, held, 0)
    delivery.acknowledged([AckRange(boot="b" * 32, first=1, last=2**53 - 1)], 1)
    assert len(delivery.in_flight) == 1


def test_an_agent_about_to_end_does_not_wait():
    delivery, held = new_delivery(), Held(1)
    send_all(delivery, held, 0)
    delivery.hasten(1)
    assert len(send_all(delivery, held, 1)) == 1


def test_a_parcel_whose_windows_are_gone_frees_its_place():
    delivery, held = new_delivery(), Held(1)
    (parcel,) = send_all(delivery, held, 0)
    delivery.gone(parcel)
    assert delivery.in_flight == ()


def test_what_the_collector_asks_for_goes_before_the_backlog_and_after_the_live():
    delivery, held = new_delivery(), Held(200)
    delivery.asked([(BOOT, 150), (BOOT, 151)], 0)
    delivery.closed(held.add(), 0)
    first, second, third = send_all(delivery, held, 1)[:3]
    assert (seqs(first), seqs(second)) == ([201], [150, 151])
    assert seqs(third) == list(range(1, 61))


def test_what_is_asked_for_while_it_flies_is_sent_again_at_once_and_only_once():
    delivery, held = new_delivery(), Held(60)
    send_all(delivery, held, 0)
    delivery.asked([(BOOT, 7)], 1)
    assert [seqs(parcel) for parcel in send_all(delivery, held, 1)] == [list(range(1, 61))]
    assert send_all(delivery, held, 2) == []


def test_one_window_that_the_collector_never_takes_does_not_keep_the_others():
    delivery, held, now_s = new_delivery(), Held(700), 0.0
    poison = (BOOT, 33)
    for _ in range(200):
        parcels = send_all(delivery, held, now_s)
        assert len(delivery.in_flight) <= MAX_IN_FLIGHT
        for parcel in parcels:
            if poison not in parcel.keys:
                held.keys = [key for key in held.keys if key not in parcel.keys]
                delivery.acknowledged(ranges_of(list(parcel.keys)), now_s)
        now_s += RESEND_S
    assert held.keys == [poison]
    assert delivery.aside == {poison}
    assert delivery.in_flight == ()
    delivery.connected()
    assert [seqs(parcel) for parcel in send_all(delivery, held, now_s)] == [[33]]


def test_a_collector_that_says_nothing_at_all_makes_no_window_suspect():
    delivery, held = new_delivery(), Held(60)
    for turn in range(50):
        assert all(len(parcel.keys) == 60 for parcel in send_all(delivery, held, turn * RESEND_CAP_S))
    assert delivery.aside == frozenset()


def test_a_broker_that_takes_small_messages_gets_small_ones():
    delivery, held = new_delivery(), Held(100)
    while (parcel := delivery.next(0, held.oldest)) and len(parcel.keys) > 10:
        delivery.too_large(parcel)
    assert parcel is not None
    assert seqs(parcel) == [1, 2, 3, 4, 5, 6, 7]
    delivery.too_large(Parcel(((BOOT, 50),), is_backlog=True))
    assert delivery.aside == {(BOOT, 50)}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("close"), st.integers(1, 70)),
        st.tuples(st.just("wait"), st.integers(1, 400)),
        st.tuples(st.just("ack"), st.integers(0, 7)),
        st.tuples(st.just("reconnect"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 600))
def test_however_it_goes_the_bounds_hold_and_an_answering_collector_gets_everything(steps, backlog):
    delivery, held, now_s, issued = new_delivery(), Held(backlog), 0.0, backlog
    received: set[Key] = set()

    def settle(keys: tuple[Key, ...]) -> None:
        received.update(keys)
        held.keys = [key for key in held.keys if key not in received]
        delivery.acknowledged(ranges_of(list(keys)), now_s)

    for kind, number in [*steps, *[("ack", 0), ("wait", 400)] * 40]:
        if kind == "close":
            for _ in range(number):
                issued += 1
                held.keys.append((BOOT, issued))
                delivery.closed((BOOT, issued), now_s)
        elif kind == "wait":
            now_s += number
        elif kind == "reconnect":
            delivery.connected()
        elif number < len(delivery.in_flight):
            settle(delivery.in_flight[number].keys)
        send_all(delivery, held, now_s)
        flying = [key for parcel in delivery.in_flight for key in parcel.keys]
        assert len(delivery.in_flight) <= MAX_IN_FLIGHT
        assert all(1 <= len(parcel.keys) <= MAX_WINDOWS for parcel in delivery.in_flight)
        assert len(flying) == len(set(flying))
    while delivery.in_flight:
        settle(delivery.in_flight[0].keys)
        send_all(delivery, held, now_s)
    assert len(received) == issued
