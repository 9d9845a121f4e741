"""Random secrets, of which only a digest is stored.

They have 256 random bits, so a plain SHA-256 suffices; passwords, which people choose, go through argon2 instead.
"""

import hashlib
import secrets


def new_secret(prefix: str = "") -> str:
    """A secret that is safe in an address or a header; the prefix lets scanners of leaked secrets know it."""
    return prefix + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """What is stored and looked up."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
