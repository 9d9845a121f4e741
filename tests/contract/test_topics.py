"""Topics: what is built is parsed back, and what is foreign is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError, MessageError
from trap_contract.topics import COUNTS, LEAVES, NAME_PATTERN, TrapAddress, parse_topic, subscription

names = st.from_regex(NAME_PATTERN, fullmatch=True)
addresses = st.builds(TrapAddress, names, names)


@given(addresses, st.sampled_from(LEAVES))
def test_a_topic_is_parsed_back_into_its_address_and_leaf(address: TrapAddress, leaf: str) -> None:
    assert parse_topic(address.topic(leaf)) == (address, leaf)


@given(st.text())
def test_any_text_is_a_topic_that_is_built_again_or_a_message_error(text: str) -> None:
    try:
        address, leaf = parse_topic(text)
    except MessageError as error:
        assert repr(text) in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert address.topic(leaf) == text


@pytest.mark.parametrize(
    "topic",
    [
        "mt/v2/field/trap-1/counts",
        "mt/v1/field/trap-1/telemetry",
        "mt/v1/field/trap-1",
        "mt/v1/field/trap-1/counts/more",
        "/mt/v1/field/trap-1/counts",
        "mt/v1/field/Trap-1/counts",
        "mt/v1/field//counts",
        "mt/v1/+/trap-1/counts",
        "mt/v1/field/trap-1\n/counts",
    ],
)
def test_a_topic_outside_the_tree_is_refused(topic: str) -> None:
    with pytest.raises(MessageError, match="topic"):
        parse_topic(topic)


@pytest.mark.parametrize("name", ["", "-trap", "Trap", "trap/1", "trap+", "#", "trap 1", "trap\n", "t" * 37])
def test_a_name_that_no_topic_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="trap name"):
        TrapAddress("field", name)
    with pytest.raises(ConfigError, match="tenant name"):
        TrapAddress(name, "trap-1")


def test_a_name_of_36_characters_is_allowed() -> None:
    assert TrapAddress("t" * 36, "0").topic(COUNTS) == f"mt/v1/{'t' * 36}/0/counts"


def test_a_subscription_takes_one_leaf_of_every_trap() -> None:
    assert subscription(COUNTS) == "mt/v1/+/+/counts"
    assert subscription(COUNTS, "field") == "mt/v1/field/+/counts"
