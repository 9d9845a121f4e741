"""The MQTT topic tree `mt/v1/{tenant}/{trap}/{leaf}`: one place that builds and parses it."""

import re
from dataclasses import dataclass
from functools import lru_cache

from trap_contract.errors import ConfigError, MessageError

ROOT = "mt/v1"
COUNTS = "counts"
ACK = "ack"
STATE = "state"
BIRTH = "birth"
HEALTH = "health"
RESEND = "resend"
LOST = "lost"
COMMAND = "command"
ANSWER = "answer"
DESIRED = "desired"
SETTINGS = "settings"
PROGRESS = "progress"
EVIDENCE = "evidence"
LEAVES = (COUNTS, ACK, STATE, BIRTH, HEALTH, RESEND, LOST, COMMAND, ANSWER, DESIRED, SETTINGS, PROGRESS, EVIDENCE)

NAME_PATTERN = r"[a-z0-9][a-z0-9-]{0,35}"
_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class TrapAddress:
    """Where a trap's messages live; both names are lower-case letters, digits and hyphens, at most 36 long.

    Raises ConfigError for any other name.
    """

    tenant: str
    trap: str

    def __post_init__(self) -> None:
        for what, name in (("tenant", self.tenant), ("trap", self.trap)):
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{what} name {name!r} can't be part of an MQTT topic: use 1 to 36 of a-z, 0-9 and '-', "
                    "beginning with a letter or digit"
                )

    def topic(self, leaf: str) -> str:
        """The full topic of one leaf."""
        return f"{ROOT}/{self.tenant}/{self.trap}/{leaf}"


@lru_cache(maxsize=65536)
def parse_topic(topic: str) -> tuple[TrapAddress, str]:
    """Split a full topic into address and leaf.

    Raises MessageError for a topic outside the tree.
    """
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or parts[4] not in LEAVES:
        raise MessageError(f"topic {topic!r} is not of the form {ROOT}/TENANT/TRAP/LEAF with LEAF one of {LEAVES}")
    try:
        return TrapAddress(parts[2], parts[3]), parts[4]
    except ConfigError as error:
        raise MessageError(f"topic {topic!r}: {error}") from error


def subscription(leaf: str, tenant: str = "+") -> str:
    """The filter that matches one leaf of every trap."""
    return f"{ROOT}/{tenant}/+/{leaf}"
