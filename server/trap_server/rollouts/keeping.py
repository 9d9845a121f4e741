"""Bundles, rollouts and their traps in the database."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import sqlalchemy as sa
from trap_contract.errors import ConfigError
from trap_contract.rollout import Desired, Progress, ProgressState, PublishedBundle
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.rollouts.engine import ENDED, Member, Position, State
from trap_server.rollouts.gate import Verdict
from trap_server.rollouts.plan import Plan, assign

_R = schema.rollouts.c
_T = schema.rollout_traps.c
_MOST_TEXT = 1024


@dataclass(frozen=True, slots=True)
class Rollout:
    """A stored rollout."""

    id: str
    bundle: PublishedBundle
    plan: Plan
    position: Position
    url: str
    secret: str
    created_ms: int
    changed_ms: int

    def token(self, address: TrapAddress) -> str:
        """What one trap shows to fetch the bundle: it opens these files alone, and ends with the rollout."""
        name = f"{address.tenant}.{address.trap}"
        return f"{name}.{hmac.new(bytes.fromhex(self.secret), name.encode(), hashlib.sha256).hexdigest()}"

    def admits(self, token: str) -> TrapAddress | None:
        """The trap that a token names and proves, None for any other text."""
        parts = token.split(".")
        if len(parts) != 3 or not token.isascii():
            return None
        try:
            address = TrapAddress(parts[0], parts[1])
        except ConfigError:
            return None
        return address if hmac.compare_digest(self.token(address), token) else None

    def wish(self, address: TrapAddress) -> Desired:
        """What a trap is told now: an aborted rollout takes its bundle back."""
        return Desired(
            trap=address.trap,
            rollout=self.id,
            action="withdraw" if self.position.state == "aborted" else "install",
            bundle=self.bundle,
            url=f"{self.url.rstrip('/')}/api/v1/rollouts/{self.id}/files",
            token=self.token(address),
            deadline_wall_ms=self.position.deadline_ms,
        )


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A trap of a rollout, with what is only told."""

    member: Member
    fetched: int
    text: str
    verdict_text: str
    changed_ms: int | None


def keep_bundle(connection: sa.Connection, bundle: PublishedBundle, now_ms: int) -> bool:
    """Remember a published bundle; whether it is new."""
    c = schema.bundles.c
    if connection.execute(sa.select(c.digest).where(c.digest == bundle.digest)).first() is not None:
        return False
    values = {"digest": bundle.digest, "body": bundle.model_dump_json(), "published_ms": now_ms}
    connection.execute(sa.insert(schema.bundles).values(**values))
    return True


def bundle(connection: sa.Connection, beginning: str) -> PublishedBundle:
    """The published bundle whose digest begins so. Raises ConfigError for none or several."""
    c = schema.bundles.c
    found = list(connection.execute(sa.select(c.body).where(c.digest.startswith(beginning, autoescape=True))))
    if len(found) != 1:
        raise ConfigError(f"bundle {beginning!r}: {len(found)} are published: see trap-fleet rollout status")
    return PublishedBundle.model_validate_json(found[0].body)


def bundles(connection: sa.Connection) -> list[PublishedBundle]:
    """Every published bundle, newest first."""
    c = schema.bundles.c
    rows = connection.execute(sa.select(c.body).order_by(c.published_ms.desc(), c.digest))
    return [PublishedBundle.model_validate_json(row.body) for row in rows]


def create(
    connection: sa.Connection,
    chosen: PublishedBundle,
    plan: Plan,
    *,
    url: str,
    tenant: str | None,
    now_ms: int,
    new_id: str,
) -> str:
    """Plan a rollout to the traps that are known now; its id, which decides the draw too.

    Raises ConfigError when there is no trap for it.
    """
    c = schema.traps.c
    query = sa.select(c.tenant, c.trap)
    known = [
        TrapAddress(*row) for row in connection.execute(query if tenant is None else query.where(c.tenant == tenant))
    ]
    ring_of = assign(known, plan.rings, new_id)
    if not ring_of:
        raise ConfigError("no trap was ever heard of that the rings could hold: see /api/v1/traps")
    values = {
        "id": new_id,
        "digest": chosen.digest,
        "plan": plan.model_dump_json(),
        "url": url,
        "secret": secrets.token_hex(32),
        "state": "planned",
        "reason": "",
        "ring": 0,
        "created_ms": now_ms,
        "changed_ms": now_ms,
        "deadline_ms": now_ms + plan.deadline_after_ms,
    }
    connection.execute(sa.insert(schema.rollouts).values(**values))
    rows = [
        {"rollout": new_id, "tenant": one.tenant, "trap": one.trap, "ring": ring} | _UNTOLD
        for one, ring in ring_of.items()
    ]
    connection.execute(sa.insert(schema.rollout_traps), rows)
    return new_id


_UNTOLD: dict[str, Any] = {"fetched": 0, "text": "", "verdict": "unknown", "verdict_text": ""}


def rollouts(connection: sa.Connection, states: Collection[State] | None = None) -> list[Rollout]:
    """Rollouts, newest first."""
    query = sa.select(schema.rollouts, schema.bundles.c.body).join(schema.bundles)
    if states is not None:
        query = query.where(_R.state.in_(states))
    return [_rollout(row) for row in connection.execute(query.order_by(_R.created_ms.desc(), _R.id)).mappings()]


def rollout(connection: sa.Connection, beginning: str) -> Rollout:
    """The rollout whose id begins so. Raises ConfigError for none or several."""
    query = sa.select(schema.rollouts, schema.bundles.c.body).join(schema.bundles)
    found = list(connection.execute(query.where(_R.id.startswith(beginning, autoescape=True))).mappings())
    if len(found) != 1:
        raise ConfigError(f"rollout {beginning!r}: there are {len(found)}: see trap-fleet rollout status")
    return _rollout(found[0])


def find_rollout(connection: sa.Connection, rollout_id: str) -> Rollout | None:
    """The rollout of exactly this id."""
    query = sa.select(schema.rollouts, schema.bundles.c.body).join(schema.bundles).where(_R.id == rollout_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _rollout(row)


def move(connection: sa.Connection, one: Rollout, position: Position, now_ms: int) -> None:
    """Keep where a rollout stands."""
    values = {"state": position.state, "ring": position.ring, "reason": position.reason[:_MOST_TEXT]}
    statement = sa.update(schema.rollouts).where(_R.id == one.id)
    connection.execute(statement.values(**values, deadline_ms=position.deadline_ms, changed_ms=now_ms))


def command(connection: sa.Connection, beginning: str, wanted: State, now_ms: int, reason: str = "") -> Rollout:
    """An operator starts, pauses or aborts a rollout. Raises ConfigError for one that has ended."""
    one = rollout(connection, beginning)
    before = one.position
    if before.state in ENDED:
        raise ConfigError(f"rollout {one.id} is {before.state}: plan another")
    if wanted == "paused" and before.state != "running":
        raise ConfigError(f"rollout {one.id} is {before.state}: only one that runs can be paused")
    is_anew = before.state == "planned" or wanted == "aborted"  # who is away must hear of the end, too
    deadline_ms = now_ms + one.plan.deadline_after_ms if is_anew else before.deadline_ms
    move(connection, one, Position(wanted, before.ring, deadline_ms, reason), now_ms)
    return rollout(connection, one.id)


def members(connection: sa.Connection, rollout_id: str) -> list[MemberRow]:
    """Its traps, by ring and name."""
    query = sa.select(schema.rollout_traps).where(_T.rollout == rollout_id).order_by(_T.ring, _T.tenant, _T.trap)
    return [_member(row) for row in connection.execute(query).mappings()]


def offer(connection: sa.Connection, rollout_id: str, addresses: Iterable[TrapAddress], now_ms: int) -> None:
    """These traps are told now."""
    _update_each(connection, rollout_id, [(one, {"offered_ms": now_ms}) for one in addresses])


def keep_verdicts(
    connection: sa.Connection, rollout_id: str, verdicts: Sequence[tuple[TrapAddress, Verdict, str]]
) -> None:
    """What the gate said of traps."""
    changes = [(one, {"verdict": verdict, "verdict_text": text[:_MOST_TEXT]}) for one, verdict, text in verdicts]
    _update_each(connection, rollout_id, changes)


def keep_progress(connection: sa.Connection, address: TrapAddress, said: Progress, received_at_ms: int) -> None:
    """What a trap says of a rollout; of one that is not planned for it nothing is kept."""
    values = {"state": said.state, "fetched": said.fetched, "text": said.text, "changed_ms": received_at_ms}
    _update_each(connection, said.rollout, [(address, values)])


def summary(connection: sa.Connection, rollout_id: str) -> list[tuple[int, str | None, str, int, int]]:
    """How many traps by ring, state and verdict, and how many of them were told."""
    told = sa.func.count(_T.offered_ms)
    query = sa.select(_T.ring, _T.state, _T.verdict, sa.func.count(), told).where(_T.rollout == rollout_id)
    rows = connection.execute(query.group_by(_T.ring, _T.state, _T.verdict))
    return [(ring, state, verdict, count, offered) for ring, state, verdict, count, offered in rows]


def _update_each(
    connection: sa.Connection, rollout_id: str, changes: Sequence[tuple[TrapAddress, dict[str, Any]]]
) -> None:
    if not changes:
        return
    is_one = sa.and_(_T.rollout == rollout_id, _T.tenant == sa.bindparam("of"), _T.trap == sa.bindparam("named"))
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in changes[0][1]}
    rows = [
        {"of": one.tenant, "named": one.trap} | {f"new_{name}": value for name, value in new.items()}
        for one, new in changes
    ]
    connection.execute(sa.update(schema.rollout_traps).where(is_one).values(**values), rows)


def _rollout(row: Any) -> Rollout:
    return Rollout(
        id=row["id"],
        bundle=PublishedBundle.model_validate_json(row["body"]),
        plan=Plan.model_validate(json.loads(row["plan"])),
        position=Position(row["state"], row["ring"], row["deadline_ms"], row["reason"]),
        url=row["url"],
        secret=row["secret"],
        created_ms=row["created_ms"],
        changed_ms=row["changed_ms"],
    )


def _member(row: Any) -> MemberRow:
    state = row["state"] if row["state"] in get_args(ProgressState) else None
    address = TrapAddress(row["tenant"], row["trap"])
    member = Member(address, row["ring"], row["offered_ms"], state, row["verdict"])
    return MemberRow(member, row["fetched"], row["text"], row["verdict_text"], row["changed_ms"])
