"""Passwords: argon2id with the library's parameters (RFC 9106, low memory).

They take time and memory: a few are hashed at once, and never inside a transaction that writes.
"""

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from trap_contract.errors import ConfigError

SHORTEST, LONGEST = 12, 200
HASHER = PasswordHasher()
_AT_ONCE = threading.Semaphore(2)  # 64 MiB each


def hash_password(password: str) -> str:
    """What is stored. Raises ConfigError for one too short or too long (NIST SP 800-63B asks no other composition)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError(f"a password has {SHORTEST} to {LONGEST} characters; a few words are easy to keep in mind")
    with _AT_ONCE:
        return HASHER.hash(password.encode("utf-8", "replace"))


def is_right(password: str, stored: str | None) -> bool:
    """Whether the password is the stored one; takes as long for nobody, so that names can't be told by time."""
    with _AT_ONCE:
        try:
            HASHER.verify(stored or _nobodys(), password.encode("utf-8", "replace"))
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


@cache
def _nobodys() -> str:
    return HASHER.hash(b"")
