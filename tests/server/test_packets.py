"""PUBLISH and PUBACK, checked against paho's own reading and writing of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish as by_paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from trap_server.packets import Publish, decode_publish, puback

TOPICS = st.text(max_size=40).filter(lambda text: text.isprintable())


@st.composite
def publishes(draw: st.DrawFn) -> tuple[int, bytes]:
    """First byte and body of a PUBLISH of MQTT 5, with and without properties."""
    qos, retained, again = draw(st.integers(0, 1)), draw(st.booleans()), draw(st.booleans())
    properties = Properties(PacketTypes.PUBLISH)
    if draw(st.booleans()):
        properties.UserProperty = [("name", draw(st.text(max_size=300).filter(str.isprintable)))]
        properties.MessageExpiryInterval = draw(st.integers(0, 2**32 - 1))
    topic = draw(TOPICS).encode()
    mid = draw(st.integers(1, 65535)).to_bytes(2, "big") if qos else b""
    body = len(topic).to_bytes(2, "big") + topic + mid + properties.pack() + draw(st.binary(max_size=200))
    return 0x30 | again << 3 | qos << 1 | retained, body


@given(publishes())
def test_a_publish_says_what_paho_reads_in_it(packet):
    command, body = packet
    theirs = by_paho(command, bytearray(body), MQTTProtocolVersion.MQTTv5)
    assert decode_publish(command, bytearray(body)) == Publish(
        theirs.topic.decode(), bytes(theirs.payload), theirs.qos, theirs.mid, theirs.retain
    )


@given(st.integers(0x30, 0x3F), st.binary(max_size=60))
def test_any_bytes_are_a_publish_or_malformed(command, body):
    try:
        found = decode_publish(command, body)
    except MalformedPacket:
        return
    assert len(found.payload) < len(body)


@given(publishes(), st.data())
def test_a_publish_that_is_cut_within_its_head_is_malformed(packet, data):
    command, body = packet
    payload = decode_publish(command, body).payload
    cut = data.draw(st.integers(0, len(body) - len(payload) - 1))
    with pytest.raises(MalformedPacket):
        decode_publish(command, body[:cut])


def test_a_topic_that_is_no_text_can_still_be_put_into_quarantine():
    assert decode_publish(0x30, b"\0\2\xff\xfe\0body").topic == "\ufffd\ufffd"


def test_qos_2_which_nobody_asked_for_is_malformed():
    with pytest.raises(MalformedPacket, match="qos 2"):
        decode_publish(0x34, b"\0\1t\0\1\0body")


def test_a_puback_is_the_four_bytes_of_the_standard():
    assert puback(0x1234) == bytes([0x40, 0x02, 0x12, 0x34])
