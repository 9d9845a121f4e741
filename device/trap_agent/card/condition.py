"""What is wrong with a trap, told apart as far as its owner can mend it; the worst first, each with its light code."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from trap_contract.card import Card


class Code(IntEnum):
    """How often the light flashes before it pauses; 1 is a slow, even beat."""

    COUNTING = 1
    CARD = 2
    WIFI = 3
    BROKER_AWAY = 4
    BROKER_REFUSES = 5
    AGENT = 6


@dataclass(frozen=True, slots=True)
class Condition:
    """How a part fares: in words, and by which code it is shown; no code when nothing is wrong."""

    words: str
    code: Code | None = None


def of_card(card: Card) -> Condition:
    """Whether trap.toml is right."""
    if not card.faults:
        return Condition("trap.toml: good")
    lines = "".join(f"\n  {fault}" for fault in card.faults)
    return Condition(f"trap.toml: {len(card.faults)} to mend; the rest is in use{lines}", Code.CARD)


def of_wifi(ssid: str | None, status: str, networks: str) -> Condition | None:
    """What `wpa_cli status` and `wpa_cli list_networks` say; None where no Wi-Fi is asked for, or none is there."""
    if ssid is None or not status:
        return None
    if "wpa_state=COMPLETED" in status:
        return Condition(f"Wi-Fi: joined {ssid!r}")
    if "[TEMP-DISABLED]" in networks:
        return Condition(f"Wi-Fi: {ssid!r} refuses the password: check wifi.password", Code.WIFI)
    return Condition(f"Wi-Fi: {ssid!r} is not found: check wifi.ssid, and how far the access point is", Code.WIFI)


def of_delivery(state: str, reason: str) -> Condition:
    """What the agent last said of its connection."""
    if state == "connected":
        return Condition("broker: connected, counts are delivered")
    if state == "refused":
        return Condition(f"broker: {reason}", Code.BROKER_REFUSES)
    if state == "away":
        return Condition(f"broker: {reason}; counts are kept", Code.BROKER_AWAY)
    return Condition("agent: not counting yet, or it stopped", Code.AGENT)


def of_pictures(state: str, reason: str) -> Condition | None:
    """What the agent last said of its source; None when it said nothing, which its delivery tells of."""
    if state == "coming":
        return Condition("pictures: coming")
    return Condition(f"pictures: {reason}; trying again", Code.AGENT) if state == "lost" else None


def shown(conditions: Sequence[Condition]) -> Code:
    """The code to flash: of what is wrong the first in the order of codes, which is the order in which to mend."""
    return min((one.code for one in conditions if one.code), default=Code.COUNTING)


def status_text(name: str, version: str, conditions: Sequence[Condition]) -> str:
    """What stands in trap-status.txt; without a time, so that it changes only when something does."""
    body = "".join(f"{one.words}\n" for one in conditions)
    return f"zancudo {version}, trap {name}\nlight code {shown(conditions)}\n\n{body}"
