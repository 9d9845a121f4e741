"""The pages before the others: log in, set a password, come in by a one-time link; plain forms, no script."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates
from trap_contract.errors import ConfigError

from trap_server.accounts import front_door, links, sessions
from trap_server.accounts.passwords import LONGEST, SHORTEST, hash_password
from trap_server.accounts.people import checked_name
from trap_server.api.access import Connection, NowMs, Writing, writing_engine_of
from trap_server.api.entry import COOKIE, address_of, let_in, limit, refuse_foreign
from trap_server.api.login import knock
from trap_server.dashboard import languages

FORM_BYTES = 16_384
REFUSALS = {401: "door.wrong", 429: "error.often"}

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parent / "templates")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; 413 for one that is no form of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            raise HTTPException(413, "the form is too long")
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


Form = Annotated[dict[str, str], Depends(read_form)]


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002  what browsers' addresses call it
    """Ask for name and password."""
    return _page(request, "login.html", next=next)


@router.post("/login")
def login(request: Request, form: Form, connection: Connection, now_ms: NowMs) -> Response:
    """Begin a session and go where the browser wanted to."""
    wanted, name = form.get("next", "/"), form.get("name", "").strip()
    try:
        secret = knock(request, connection, checked_name(name), form.get("password", ""), now_ms)
    except ConfigError as error:
        return _page(request, "login.html", 401, next=wanted, name=name, refusal=str(error))
    except HTTPException as error:
        refusal = _text(request, REFUSALS[error.status_code]) if error.status_code in REFUSALS else error.detail
        return _page(request, "login.html", error.status_code, next=wanted, name=name, refusal=refusal)
    return _inside(request, secret, wanted)


@router.post("/logout")
def logout(request: Request, writing: Writing) -> Response:
    """End the session."""
    refuse_foreign(request)
    sessions.end(writing, request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/enter/{secret}")
def enter(request: Request, secret: str, writing: Writing, now_ms: NowMs) -> Response:
    """Come in by a one-time link."""
    limit(request, "log in from one address", address_of(request))
    session = front_door.enter(writing, secret, now_ms)
    if session is None:
        return _dead_link(request)
    return _inside(request, session, "/")


@router.get("/welcome/{secret}")
def welcome_page(request: Request, secret: str, connection: Connection, now_ms: NowMs) -> Response:
    """Ask for a password, and from the first admin for a name."""
    limit(request, "log in from one address", address_of(request))
    return _welcome(request, connection, secret, now_ms)


@router.post("/welcome/{secret}")
def welcome(request: Request, secret: str, form: Form, connection: Connection, now_ms: NowMs) -> Response:
    """Set the password and come in."""
    refuse_foreign(request)
    limit(request, "log in from one address", address_of(request))
    if links.look(connection, secret, now_ms) is None:  # or strangers could keep the processor busy
        return _dead_link(request)
    name = form.get("name", "").strip()
    try:
        hashed = _new_password(request, form)
        with writing_engine_of(request).begin() as writing:
            session = front_door.welcome(writing, secret, checked_name(name), hashed, now_ms)
    except ConfigError as error:
        return _welcome(request, connection, secret, now_ms, name=name, refusal=str(error))
    return _inside(request, session, "/")


def to_login(request: Request) -> Response:
    """Send a browser to the login, and back later."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(wanted, safe='')}", 303)


def _welcome(request: Request, connection: Connection, secret: str, now_ms: int, **more: Any) -> Response:
    found = links.look(connection, secret, now_ms)
    if found is None or found[0] == "enter":
        return _dead_link(request)
    person = found[1].name if found[1] else None
    status = 422 if "refusal" in more else 200
    return _page(request, "welcome.html", status, person=person, shortest=SHORTEST, longest=LONGEST, **more)


def _dead_link(request: Request) -> Response:
    return _page(request, "login.html", 410, next="/", refusal=_text(request, "door.dead_link"))


def _new_password(request: Request, form: dict[str, str]) -> str:
    if form.get("password", "") != form.get("again"):
        raise ConfigError(_text(request, "door.differ"))
    return hash_password(form.get("password", ""))


def _inside(request: Request, secret: str, wanted: str) -> Response:
    """To a page of this site, with the session's cookie."""
    is_here = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    answer = RedirectResponse(wanted if is_here else "/", 303)
    let_in(answer, request, secret)
    return answer


def _text(request: Request, key: str) -> str:
    """In the reader's language."""
    return str(languages.reader_of(request)["t"](key))


def _page(request: Request, template: str, status: int = 200, **content: Any) -> Response:
    headers = {"cache-control": "no-store"}
    content = {**languages.reader_of(request), **content}
    return templates.TemplateResponse(request, template, content, status_code=status, headers=headers)
