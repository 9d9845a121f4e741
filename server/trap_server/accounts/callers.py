"""Who asks, and what a role may; pure."""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["viewer", "operator", "admin"]
Kind = Literal["person", "token", "command"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person who logged in, a machine with a token, or who runs commands on the server itself.

    A viewer reads, an operator also changes what concerns traps, an admin also people and tokens.
    """

    name: str
    role: Role
    kind: Kind

    def may(self, role: Role) -> bool:
        """Whether the caller's role is `role` or above it."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def signature(self) -> str:
        """How logs and notes name the caller."""
        return self.name if self.kind == "person" else f"{self.kind} {self.name}"


OPERATING = Caller("line", "admin", "command")
"""Whoever has a shell on the server."""
