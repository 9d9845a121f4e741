"""People and the tokens of machines, kept by admins; and the audit log."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict

from trap_server.accounts import audit_log, links, people, tokens
from trap_server.accounts.audit_log import record
from trap_server.accounts.callers import Role
from trap_server.accounts.people import Person
from trap_server.api.access import Before, CalendarMs, Connection, FilledLine, Limit, NowMs, Number, Writing
from trap_server.api.entry import Admin
from trap_server.api.login import PersonName

router = APIRouter(prefix="/api/v1")


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewPersonBody(BaseModel):
    """A person who does not exist yet."""

    name: PersonName
    role: Role


class PersonBody(BaseModel):
    """What to change of a person; null: nothing."""

    role: Role | None = None
    disabled: bool | None = None


class PersonAnswer(_Answer):
    """One account."""

    name: str
    role: Role
    disabled: bool
    has_password: bool
    created_ms: int


class InvitedAnswer(BaseModel):
    """A person, and the one-time link by which they set their password, within a day."""

    person: PersonAnswer
    link: str


class NewTokenBody(BaseModel):
    """A token that does not exist yet."""

    name: FilledLine
    role: Role
    expires_ms: CalendarMs | None = None


class TokenAnswer(_Answer):
    """One token, without its secret."""

    id: int
    name: str
    role: Role
    created_ms: int
    created_by: str
    expires_ms: int | None
    revoked_ms: int | None


class IssuedAnswer(BaseModel):
    """A token with its secret, which is never shown again."""

    token: TokenAnswer
    secret: str


class EntryAnswer(_Answer):
    """One change."""

    id: int
    at_ms: int
    who: str
    action: str
    subject: str
    details: dict[str, Any]


class AuditAnswer(BaseModel):
    """Changes, newest first, and where to go on."""

    entries: list[EntryAnswer]
    next_cursor: int | None


Named = Annotated[PersonName, Path()]


@router.get("/people")
def list_people(_admin: Admin, connection: Connection) -> list[PersonAnswer]:
    """Everybody with an account."""
    return [PersonAnswer.model_validate(one) for one in people.people(connection)]


@router.post("/people", status_code=201)
def add_person(request: Request, body: NewPersonBody, admin: Admin, writing: Writing, now_ms: NowMs) -> InvitedAnswer:
    """Invite somebody."""
    person = people.add(writing, body.name, body.role, now_ms)
    record(writing, admin, now_ms, "people.add", person.name, role=body.role)
    return _invited(request, writing, person, now_ms)


@router.patch("/people/{name}")
def change_person(name: Named, body: PersonBody, admin: Admin, writing: Writing, now_ms: NowMs) -> PersonAnswer:
    """Another role, or let in no more; it holds from the person's next request on."""
    person = people.change(writing, name, role=body.role, disabled=body.disabled)
    record(writing, admin, now_ms, "people.change", name, role=person.role, disabled=person.disabled)
    return PersonAnswer.model_validate(person)


@router.post("/people/{name}/link")
def invite_again(request: Request, name: Named, admin: Admin, writing: Writing, now_ms: NowMs) -> InvitedAnswer:
    """A new one-time link, for who has lost a password."""
    person = people.person(writing, name)
    record(writing, admin, now_ms, "people.link", name)
    return _invited(request, writing, person, now_ms)


@router.delete("/people/{name}", status_code=204)
def remove_person(name: Named, admin: Admin, writing: Writing, now_ms: NowMs) -> None:
    """Forget a person; what they did stays in the audit log."""
    people.remove(writing, name)
    record(writing, admin, now_ms, "people.remove", name)


@router.get("/tokens")
def list_tokens(_admin: Admin, connection: Connection) -> list[TokenAnswer]:
    """Every token, revoked ones too."""
    return [TokenAnswer.model_validate(one) for one in tokens.tokens(connection)]


@router.post("/tokens", status_code=201)
def add_token(body: NewTokenBody, admin: Admin, writing: Writing, now_ms: NowMs) -> IssuedAnswer:
    """A token for a machine."""
    token, secret = tokens.issue(writing, body.name, body.role, admin, now_ms=now_ms, expires_ms=body.expires_ms)
    record(writing, admin, now_ms, "tokens.add", token.id, name=body.name, role=body.role)
    return IssuedAnswer(token=TokenAnswer.model_validate(token), secret=secret)


@router.delete("/tokens/{number}", status_code=204)
def revoke_token(number: Number, admin: Admin, writing: Writing, now_ms: NowMs) -> None:
    """Refuse a token from now on."""
    token = tokens.revoke(writing, number, now_ms)
    record(writing, admin, now_ms, "tokens.revoke", number, name=token.name)


@router.get("/audit")
def audit(_admin: Admin, connection: Connection, cursor: Before = None, limit: Limit = 100) -> AuditAnswer:
    """Who changed what, newest first."""
    found = audit_log.entries(connection, cursor, limit)
    answers = [EntryAnswer.model_validate(one) for one in found]
    return AuditAnswer(entries=answers, next_cursor=answers[-1].id if len(answers) == limit else None)


def _invited(request: Request, writing: Writing, person: Person, now_ms: int) -> InvitedAnswer:
    secret = links.issue(writing, "password", person, now_ms)
    base = request.app.state.url or str(request.base_url)
    return InvitedAnswer(person=PersonAnswer.model_validate(person), link=links.address_of(base, "password", secret))
