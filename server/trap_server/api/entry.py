"""Who asks: a person by the cookie of a session, or a machine by its token; and what the asker may."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import sqlalchemy as sa
from fastapi import Depends, HTTPException, Request, Response, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from trap_server.accounts import sessions, tokens
from trap_server.accounts.callers import Caller, Role
from trap_server.accounts.rates import Rates
from trap_server.api.access import NowMs, engine_of, writing_engine_of

COOKIE = "zancudo_session"
SAFE = ("GET", "HEAD", "OPTIONS")

_bearer = HTTPBearer(auto_error=False, description="token of a machine: `trap-server tokens add`")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="session of a person, from POST /api/v1/login")


def rates_of(request: Request) -> Rates:
    """The application's counts of who asked how often."""
    rates: Rates = request.app.state.rates
    return rates


def identify(
    request: Request,
    now_ms: NowMs,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    session: Annotated[str | None, Security(_cookie)],
) -> Caller:
    """Who asks; 401 for nobody we know, 403 for a page of another site, 429 for too often."""
    if "authorization" in request.headers:
        caller = _machine(request, bearer, now_ms)
    else:
        caller = _person(request, session, now_ms)
    if caller is None:
        limit(request, "be refused", address_of(request))
        raise HTTPException(
            401, "log in at /login, or send a token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        )
    limit(request, "ask", caller.signature)
    return caller


def refuse_foreign(request: Request) -> None:
    """403 for a change that a page of another site asked for (OWASP, Cross-Site Request Forgery Prevention).

    Browsers tell by Sec-Fetch-Site, older ones by Origin; a change with neither comes from no browser page.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    is_own = site in ("same-origin", "none") if site is not None else _is_own(request, origin)
    if request.method not in SAFE and not is_own:
        raise HTTPException(403, "refused: another site's page asks for this; machines send a token")


def _is_own(request: Request, origin: str | None) -> bool:
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


def limit(request: Request, what: str, who: str) -> None:
    """429 when `who` does it too often."""
    wait_s = rates_of(request).wait_s(what, who)
    if wait_s is not None:
        raise HTTPException(429, f"too often: wait {wait_s} s", {"Retry-After": str(wait_s)})


def address_of(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client else "nowhere"


def let_in(response: Response, request: Request, secret: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        COOKIE,
        secret,
        max_age=sessions.LIFE_MS // 1000,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def _machine(request: Request, bearer: HTTPAuthorizationCredentials | None, now_ms: int) -> Caller | None:
    if bearer is None:
        return None
    with engine_of(request).begin() as connection:
        return tokens.caller(connection, bearer.credentials, now_ms)


def _person(request: Request, session: str | None, now_ms: int) -> Caller | None:
    if not session:
        return None
    with engine_of(request).begin() as connection:
        found = sessions.caller(connection, session, now_ms)
    if found is None:
        return None
    refuse_foreign(request)
    if found[1]:
        with suppress(sa.exc.DBAPIError), writing_engine_of(request).begin() as connection:  # not worth a refusal
            sessions.touch(connection, session, now_ms)
    return found[0]


@dataclass(frozen=True, slots=True)
class Needs:
    """Lets in callers of a role or above; 403 for others."""

    role: Role

    def __call__(self, caller: Annotated[Caller, Depends(identify)]) -> Caller:
        """The caller."""
        if not caller.may(self.role):
            raise HTTPException(403, f"this needs the role {self.role}; yours is {caller.role}")
        return caller


class LoginNeededError(Exception):
    """A page was asked for by nobody we know; the browser is sent to the login."""


def visit(request: Request, now_ms: NowMs) -> Caller:
    """Who looks at a page. Raises LoginNeededError."""
    caller = _person(request, request.cookies.get(COOKIE), now_ms)
    if caller is None:
        raise LoginNeededError
    limit(request, "ask", caller.signature)
    return caller


Viewer = Annotated[Caller, Depends(Needs("viewer"))]
Operator = Annotated[Caller, Depends(Needs("operator"))]
Admin = Annotated[Caller, Depends(Needs("admin"))]
Visitor = Annotated[Caller, Depends(visit)]
