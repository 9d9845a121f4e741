"""Tokens of one connection, and nothing lost silently."""

from trap_server.inbox import Delivery, Inbox, Token
from trap_server.sorting import Arrival

ARRIVAL = Arrival("mt/v1/demo/t1/counts", b"{}", False, 0)


def deliver(inbox: Inbox, generation: int, mid: int, now_s: float = 0.0) -> bool:
    return inbox.put([Delivery(ARRIVAL, Token(generation, mid, 1))], now_s)


def test_a_token_of_an_older_connection_acknowledges_nothing():
    inbox = Inbox(limit=9)
    old, new = Token(inbox.begin_generation(), 1, 1), Token(inbox.begin_generation(), 1, 1)
    assert inbox.settle([old, new]) == [new]


def test_a_new_connection_empties_the_inbox():
    inbox = Inbox(limit=9)
    deliver(inbox, inbox.begin_generation(), mid=1)
    inbox.begin_generation()
    assert inbox.take(10, 999, first_s=0, more_s=0) == []
    assert inbox.oldest_age_s(100.0) == 0


def test_messages_are_taken_in_order_and_up_to_the_limit():
    inbox = Inbox(limit=9)
    generation = inbox.begin_generation()
    for mid in (5, 3, 9):
        deliver(inbox, generation, mid)
    assert [one.token.mid for one in inbox.take(2, 999, 0, 0)] == [5, 3]
    assert [one.token.mid for one in inbox.take(2, 999, 0, 0)] == [9]


def test_a_message_that_finds_no_room_is_owed_all_the_same():
    inbox = Inbox(limit=1)
    generation = inbox.begin_generation()
    assert deliver(inbox, generation, mid=1, now_s=10)
    assert not deliver(inbox, generation, mid=2, now_s=20)
    inbox.settle([Token(generation, 1, 1)])
    assert inbox.oldest_age_s(25.0) == 5


def test_large_messages_fill_the_inbox_by_their_bytes_and_one_always_fits():
    inbox = Inbox(limit=9, most_bytes=len(ARRIVAL.payload))
    generation = inbox.begin_generation()
    assert deliver(inbox, generation, mid=1)
    assert not deliver(inbox, generation, mid=2)
    inbox.take(9, 999, 0, 0)
    assert deliver(inbox, generation, mid=2)


def test_the_oldest_age_is_that_of_the_message_that_waits_longest():
    inbox = Inbox(limit=9)
    generation = inbox.begin_generation()
    deliver(inbox, generation, mid=1, now_s=10)
    deliver(inbox, generation, mid=2, now_s=30)
    assert inbox.oldest_age_s(40.0) == 30
    inbox.settle([Token(generation, 1, 1)])
    assert inbox.oldest_age_s(40.0) == 10
