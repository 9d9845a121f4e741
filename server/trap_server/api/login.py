"""Logging in and out, and who one is."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from trap_server.accounts import front_door, people, sessions
from trap_server.accounts.audit_log import record
from trap_server.accounts.callers import Caller, Kind, Role
from trap_server.accounts.passwords import LONGEST, hash_password
from trap_server.api.access import Connection, NowMs, Writing, writing_engine_of
from trap_server.api.entry import COOKIE, Viewer, address_of, let_in, limit, refuse_foreign

router = APIRouter(prefix="/api/v1")

PersonName = Annotated[str, StringConstraints(pattern=f"^{people.NAME_PATTERN}$", to_lower=True)]
Password = Annotated[str, Field(max_length=LONGEST)]


class LoginBody(BaseModel):
    """Name and password of a person."""

    name: PersonName
    password: Password


class NewPasswordBody(BaseModel):
    """The password until now, and the new one."""

    old: Password
    new: Password


class MeAnswer(BaseModel):
    """Who asks."""

    name: str
    role: Role
    kind: Kind


def knock(request: Request, connection: Connection, name: str, password: str, now_ms: int) -> str:
    """The secret of a new session, in place of any that the browser brought; 401 or 429."""
    refuse_foreign(request)
    limit(request, "log in from one address", address_of(request))
    limit(request, "log in by one name", name.lower())
    person = people.with_password(connection, name, password)
    if person is None:
        raise HTTPException(401, "name or password is wrong")
    with writing_engine_of(request).begin() as writing:
        return front_door.begin(writing, person, request.cookies.get(COOKIE, ""), now_ms)


@router.post("/login", status_code=204)
def login(request: Request, response: Response, body: LoginBody, connection: Connection, now_ms: NowMs) -> None:
    """Begin a session: the answer sets its cookie."""
    let_in(response, request, knock(request, connection, body.name, body.password, now_ms))


@router.post("/logout", status_code=204)
def logout(request: Request, response: Response, writing: Writing) -> None:
    """End the session, here and on the server."""
    refuse_foreign(request)
    sessions.end(writing, request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE)


@router.get("/me")
def me(caller: Viewer) -> MeAnswer:
    """Who asks, and as what."""
    return MeAnswer(name=caller.name, role=caller.role, kind=caller.kind)


@router.post("/me/password", status_code=204)
def change_password(
    *,
    request: Request,
    response: Response,
    body: NewPasswordBody,
    caller: Viewer,
    connection: Connection,
    now_ms: NowMs,
) -> None:
    """Another password; every session of this person ends, but for a new one of this browser."""
    person = _asking(caller)
    limit(request, "log in by one name", caller.name)
    found = people.with_password(connection, person, body.old)
    if found is None:
        raise HTTPException(403, "the old password is wrong")
    hashed = hash_password(body.new)
    with writing_engine_of(request).begin() as writing:
        people.set_password(writing, found, hashed)
        record(writing, caller, now_ms, "set password")
        let_in(response, request, sessions.begin(writing, found, now_ms))


def _asking(caller: Caller) -> str:
    if caller.kind != "person":
        raise HTTPException(403, "a token has no password")
    return caller.name
