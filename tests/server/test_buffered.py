import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from trap_server.buffered import READ_BYTES, BufferedClient, BufferedSocket

PUBLISH = b"\x32\x08\x00\x01a\x00\x01\x00hi"  # QoS 1, topic "a", number 1, no properties, "hi"
PINGRESP = b"\xd0\x00"


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


def client_on(link: BufferedSocket) -> BufferedClient:
    """A client that is connected over this link and keeps the payloads of what arrives."""
    client = BufferedClient(CallbackAPIVersion.VERSION2, "c", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
    client._sock, client.payloads = link, []
    client.arrived = lambda message: client.payloads.append(message.payload)
    return client


@pytest.fixture
def client(ends):
    buffered, other = ends
    return client_on(buffered), other


def test_one_packet_is_read_at_a_time_though_many_acknowledgements_are_under_way(client):
    client, other = client
    client._out_messages.update(dict.fromkeys(range(1, 50)))
    other.sendall(2 * PUBLISH)
    assert client.read_packet()
    assert client.payloads == [b"hi"]
    assert [client.read_packet(), client.read_packet()] == [True, False]
    assert client.payloads == [b"hi", b"hi"]


def test_half_a_packet_is_none_until_the_rest_has_come(client):
    client, other = client
    other.sendall(PUBLISH[:5])
    assert not client.read_packet()
    other.sendall(PUBLISH[5:])
    assert client.read_packet()
    assert client.payloads == [b"hi"]


def test_the_end_of_a_connection_is_no_packet_and_is_told(client):
    client, other = client
    told = []
    client.on_disconnect = lambda *_: told.append("ended")
    other.close()
    assert not client.read_packet()
    assert told == ["ended"]


def as_packet(size: int) -> bytes:
    """A PUBLISH with a payload of so many bytes."""
    body = PUBLISH[2:8] + bytes(size)
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 + 128, len(body) // 128])
    return PUBLISH[:1] + length + body


@given(st.lists(st.integers(0, 300) | st.none(), max_size=20), st.lists(st.integers(1, 400), max_size=20))
def test_every_publish_arrives_in_order_whatever_comes_between_and_in_whatever_pieces(sizes, cuts):
    stream = b"".join(PINGRESP if size is None else as_packet(size) for size in sizes)
    mine, other = socket.socketpair()
    with mine, other:
        mine.setblocking(False)
        client = client_on(BufferedSocket(mine))
        for cut in [*cuts, len(stream)]:
            other.sendall(stream[:cut])
            stream = stream[cut:]
            while client.read_packet():
                pass
        client._sock = None
    assert [len(payload) for payload in client.payloads] == [size for size in sizes if size is not None]


def test_a_publish_that_is_none_ends_the_connection(client):
    client, other = client
    told = []
    client.on_disconnect = lambda *_: told.append("ended")
    other.sendall(b"\x36" + PUBLISH[1:])  # of a quality of service that there is not
    assert not client.read_packet()
    assert (client.payloads, told) == ([], ["ended"])
