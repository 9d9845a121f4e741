import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_server.buffered import READ_BYTES, BufferedSocket


@pytest.fixture
def ends():
    mine, other = socket.socketpair()
    mine.setblocking(False)
    with mine, other:
        yield BufferedSocket(mine), other


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20), st.data())
def test_what_was_sent_is_read_in_order_whatever_the_pieces(pieces, data):
    mine, other = socket.socketpair()
    with mine, other:
        mine.setblocking(False)
        for piece in pieces:
            other.sendall(piece)
        buffered, got, whole = BufferedSocket(mine), b"", b"".join(pieces)
        while len(got) < len(whole):
            got += buffered.recv(data.draw(st.integers(1, 300)))
        assert got == whole
        assert not buffered.has_more()


def test_bytes_read_ahead_are_told_of_because_no_select_would(ends):
    buffered, other = ends
    other.sendall(b"two packets")
    assert buffered.recv(3) == b"two"
    assert buffered.has_more()
    assert buffered.recv(READ_BYTES) == b" packets"
    assert not buffered.has_more()


def test_the_end_of_the_connection_is_read_after_all_that_came_before(ends):
    buffered, other = ends
    other.sendall(b"last words")
    other.close()
    assert [buffered.recv(5), buffered.recv(5), buffered.recv(5)] == [b"last ", b"words", b""]


def test_nothing_is_written_before_it_is_flushed_and_then_all_of_it(ends):
    buffered, other = ends
    other.setblocking(False)
    assert [buffered.send(b"one"), buffered.send(b"two")] == [3, 3]
    with pytest.raises(BlockingIOError):
        other.recv(10)
    assert buffered.flush()
    assert other.recv(10) == b"onetwo"


def test_what_the_kernel_does_not_take_waits_and_none_of_it_is_lost_or_doubled(ends):
    buffered, other = ends
    sent = bytes(range(256)) * 20_000
    buffered.send(sent)
    assert not buffered.flush()
    got = b""
    while len(got) < len(sent):
        got += other.recv(READ_BYTES)
        buffered.flush()
    assert got == sent


def test_a_connection_that_is_gone_tells_whoever_reads_and_closing_still_works(ends):
    buffered, other = ends
    other.close()
    buffered.send(b"for nobody")
    assert buffered.flush()
    assert buffered.recv(1) == b""
    buffered.close()


def test_what_waits_is_written_when_it_is_closed(ends):
    buffered, other = ends
    buffered.send(b"goodbye")
    buffered.close()
    assert other.recv(10) == b"goodbye"
