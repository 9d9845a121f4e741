"""What the authority has signed, revoked and promised: one JSON file without a secret, and its pure transitions."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from trap_contract.errors import ConfigError
from trap_contract.messages import Name
from trap_contract.topics import TrapAddress

Kind = Literal["broker", "collector", "trap"]
Status = Literal["valid", "superseded", "revoked", "expired"]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Issued(_Record):
    """One certificate."""

    serial: Annotated[str, Field(pattern="^[0-9a-f]{1,40}$")]
    kind: Kind
    name: str
    not_after: datetime
    is_superseded: bool = False
    revoked: datetime | None = None

    def status(self, now: datetime) -> Status:
        """What it is good for now."""
        if self.revoked is not None:
            return "revoked"
        if self.not_after <= now:
            return "expired"
        return "superseded" if self.is_superseded else "valid"


class JoinToken(_Record):
    """A promise to sign one certificate for one trap; the token itself is known to the trap alone."""

    digest: Digest
    tenant: Name
    trap: Name
    expires: datetime
    days: Annotated[int, Field(ge=1)]
    used: datetime | None = None

    @property
    def address(self) -> TrapAddress:
        """Whom it is for."""
        return TrapAddress(self.tenant, self.trap)

    def status(self, now: datetime) -> Literal["open", "used", "expired"]:
        """Whether it can still be redeemed."""
        if self.used is not None:
            return "used"
        return "open" if now < self.expires else "expired"


class Lock(_Record):
    """How the passphrase becomes the password of the authority's key, by scrypt (RFC 7914) with r = 8, p = 1."""

    salt: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    n: Annotated[int, Field(ge=2, le=2**20)] = 2**16


class Registry(_Record):
    """The authority's memory."""

    schema_version: Literal[1] = 1
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]
    reload: str
    broker_user: str | None
    lock: Lock
    crl_number: int = 0
    crl_not_after: datetime
    issued: tuple[Issued, ...] = ()
    tokens: tuple[JoinToken, ...] = ()

    def of(self, kind: Kind, name: str) -> list[Issued]:
        """Every certificate of one name."""
        return [one for one in self.issued if (one.kind, one.name) == (kind, name)]

    def living(self, kind: Kind, name: str, now: datetime) -> list[Issued]:
        """Those of one name that the broker would take."""
        return [one for one in self.of(kind, name) if one.status(now) in ("valid", "superseded")]

    def collectors(self, now: datetime) -> list[str]:
        """The names that may read every trap."""
        found = {one.name for one in self.issued if one.kind == "collector" and one.status(now) == "valid"}
        return sorted(found)

    def outcasts(self, now: datetime) -> list[str]:
        """The traps that had a certificate revoked and have no other."""
        found = {one.name for one in self.issued if one.kind == "trap" and one.revoked}
        return sorted(name for name in found if not self.living("trap", name, now))

    def revocations(self, now: datetime) -> list[tuple[int, datetime]]:
        """Serial and time of what is revoked and would not be refused anyway."""
        return [(int(one.serial, 16), one.revoked) for one in self.issued if one.revoked and one.not_after > now]

    def with_issued(self, *new: Issued) -> "Registry":
        """Remember new certificates."""
        return self.model_copy(update={"issued": (*self.issued, *new)})

    def superseding(self, kind: Kind, name: str) -> "Registry":
        """Mark what one name has now as about to be replaced."""
        changed = [
            one.model_copy(update={"is_superseded": True}) if (one.kind, one.name) == (kind, name) else one
            for one in self.issued
        ]
        return self.model_copy(update={"issued": tuple(changed)})

    def revoking(self, serials: set[str], now: datetime) -> "Registry":
        """Revoke certificates; those revoked before keep their time."""
        changed = [
            one.model_copy(update={"revoked": now}) if one.serial in serials and one.revoked is None else one
            for one in self.issued
        ]
        return self.model_copy(update={"issued": tuple(changed)})

    def without_tokens(self, address: TrapAddress) -> "Registry":
        """Withdraw every promise to a trap."""
        return self.model_copy(update={"tokens": tuple(one for one in self.tokens if one.address != address)})

    def with_token(self, token: JoinToken) -> "Registry":
        """Remember a promise; an earlier one with the same digest is replaced."""
        others = tuple(one for one in self.tokens if one.digest != token.digest)
        return self.model_copy(update={"tokens": (*others, token)})

    def warnings(self, authority_end: datetime, now: datetime, ahead: timedelta) -> list[str]:
        """What an operator must see to before `ahead` has passed."""
        ends = [("the authority", authority_end, "make a new one with trap-fleet init and enrol every trap again")]
        revoking = "trap-fleet renew crl: from then on the broker refuses everyone"
        ends.append(("the revocation list", self.crl_not_after, revoking))
        for one in self.issued:
            if one.status(now) in ("valid", "expired") and not one.is_superseded:
                step = f"trap-fleet rotate {one.name}" if one.kind == "trap" else f"trap-fleet renew {one.kind}"
                ends.append((f"the certificate of {one.name}", one.not_after, step))
        return [
            f"{what} {'expired' if end <= now else 'expires'} {end:%Y-%m-%d}: {step}"
            for what, end, step in ends
            if end <= now + ahead
        ]


def refuse_enrolled(registry: Registry, address: TrapAddress, name: str, now: datetime) -> None:
    """Raise ConfigError for a trap that has a certificate: two cards with one identity would fight."""
    if registry.living("trap", name, now):
        raise ConfigError(f"{name}: enrolled already: rotate its certificate, or revoke it first")
    if any(one.address == address and one.status(now) == "open" for one in registry.tokens):
        raise ConfigError(f"{name}: a join token is waiting for it: use that, or withdraw it with trap-fleet revoke")
