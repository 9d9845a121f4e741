"""`trap-server people` and `trap-server tokens`: accounts by whoever has a shell on the server."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import sqlalchemy as sa
import typer

from trap_server.accounts import links, people, tokens
from trap_server.accounts.audit_log import record
from trap_server.accounts.callers import OPERATING, Role
from trap_server.accounts.people import Person
from trap_server.accounts.tokens import Token
from trap_server.database import open_database, open_for_reading
from trap_server.settings import Settings, read_settings

DAY_MS = 24 * 3600 * 1000

people_app = typer.Typer(
    help="Who may log in: viewers read, operators change, admins let others in.", no_args_is_help=True
)
tokens_app = typer.Typer(help="Tokens by which machines read and change.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="letters, digits and . _ @ + -", show_default=False)]
RoleOption = Annotated[Role, typer.Option(help="viewer, operator or admin")]
Database = Annotated[str | None, typer.Option(help="sqlite:///PATH.db or postgresql+psycopg://...", show_default=False)]
Url = Annotated[str | None, typer.Option(help="where people find the page", show_default=False)]
Enter = Annotated[bool, typer.Option("--enter", help="the link lets them straight in, without a password")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@people_app.command("list")
def list_people(*, database: Database = None, as_json: AsJson = False) -> None:
    """Everybody with an account."""
    with open_for_reading(read_settings(database=database).database).begin() as connection:
        found = people.people(connection)
    print(json.dumps([asdict(one) for one in found]) if as_json else "\n".join(map(_person_line, found)))


@people_app.command("add")
def add_person(
    name: Name, *, role: RoleOption = "viewer", enter: Enter = False, database: Database = None, url: Url = None
) -> None:
    """Let somebody in: prints a link, good once and for a day, by which they set their password."""
    settings = read_settings(database=database, url=url)
    with open_database(settings.database).begin() as connection:
        person = people.add(connection, people.checked_name(name), role, _now_ms())
        record(connection, OPERATING, _now_ms(), "people.add", person.name, role=role)
        link = _link(connection, person, enter, settings)
    print(link)


@people_app.command("link")
def link_person(name: Name, *, enter: Enter = False, database: Database = None, url: Url = None) -> None:
    """Another one-time link, for who has lost the password."""
    settings = read_settings(database=database, url=url)
    with open_database(settings.database).begin() as connection:
        person = people.person(connection, name)
        record(connection, OPERATING, _now_ms(), "people.link", person.name)
        link = _link(connection, person, enter, settings)
    print(link)


@people_app.command("change")
def change_person(
    name: Name,
    *,
    role: Annotated[Role | None, typer.Option(help="viewer, operator or admin", show_default=False)] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="let in no more", show_default=False)
    ] = None,
    database: Database = None,
) -> None:
    """Another role, or let in no more; it holds at once."""
    with open_database(read_settings(database=database).database).begin() as connection:
        person = people.change(connection, name, role=role, disabled=disabled)
        told = {"role": person.role, "disabled": person.disabled}
        record(connection, OPERATING, _now_ms(), "people.change", person.name, **told)
    print(_person_line(person))


@people_app.command("remove")
def remove_person(name: Name, *, database: Database = None) -> None:
    """Forget somebody; what they did stays in the audit log."""
    with open_database(read_settings(database=database).database).begin() as connection:
        people.remove(connection, name)
        record(connection, OPERATING, _now_ms(), "people.remove", name.lower())


@tokens_app.command("list")
def list_tokens(*, database: Database = None, as_json: AsJson = False) -> None:
    """Every token, without its secret."""
    with open_for_reading(read_settings(database=database).database).begin() as connection:
        found = tokens.tokens(connection)
    print(json.dumps([asdict(one) for one in found]) if as_json else "\n".join(map(_token_line, found)))


@tokens_app.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="what the machine is: prometheus, nightly-export", show_default=False)],
    *,
    role: RoleOption = "viewer",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="how long it holds", show_default=False)] = None,
    database: Database = None,
) -> None:
    """Print a new token; it can't be shown again. Send it as `Authorization: Bearer TOKEN`."""
    now_ms = _now_ms()
    expires_ms = None if days is None else now_ms + days * DAY_MS
    with open_database(read_settings(database=database).database).begin() as connection:
        token, secret = tokens.issue(connection, name, role, OPERATING, now_ms=now_ms, expires_ms=expires_ms)
        record(connection, OPERATING, now_ms, "tokens.add", token.id, name=name, role=role)
    print(secret)


@tokens_app.command("revoke")
def revoke_token(
    number: Annotated[int, typer.Argument(help="as `list` shows it", show_default=False)], *, database: Database = None
) -> None:
    """Refuse a token from now on."""
    with open_database(read_settings(database=database).database).begin() as connection:
        token = tokens.revoke(connection, number, _now_ms())
        record(connection, OPERATING, _now_ms(), "tokens.revoke", number, name=token.name)
    print(_token_line(token))


def _link(connection: sa.Connection, person: Person, enter: bool, settings: Settings) -> str:
    purpose: links.Purpose = "enter" if enter else "password"
    return links.address_of(settings.page, purpose, links.issue(connection, purpose, person, _now_ms()))


def _person_line(person: Person) -> str:
    state = "disabled" if person.disabled else "" if person.has_password else "no password yet"
    return f"{person.name}  {person.role}  {state}".rstrip()


def _token_line(token: Token) -> str:
    ends = token.revoked_ms or token.expires_ms
    day = "" if ends is None else f"{datetime.fromtimestamp(ends / 1000, UTC):%Y-%m-%d}"
    state = f"revoked {day}" if token.revoked_ms else f"until {day}" if day else "no end"
    return f"{token.id}  {token.name}  {token.role}  {state}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
