"""Signing in to the inbox: a token becomes a cookie that scripts can't read."""

from __future__ import annotations

import re
from html import escape
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from signoff.domain.errors import NotAuthenticated
from signoff.server.auth import COOKIE, Core, check_same_origin
from signoff.service import Approvals

router: Final = APIRouter(include_in_schema=False)

# One slash, then visible ASCII. Browsers take //host and /\\host for other sites.
_LOCAL: Final = re.compile(r"/(?:[!-.0-\[\]-~][!-\[\]-~]*)?")
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in to signoff</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ display: grid; place-items: center; min-height: 90vh; margin: 0 1rem; }}
form {{ display: grid; gap: .75rem; width: min(24rem, 100%); }}
h1 {{ font-size: 1.4rem; margin: 0; }}
p {{ margin: 0; }}
input, button {{ font: inherit; padding: .6rem; border-radius: .5rem; }}
input {{ border: 1px solid GrayText; }}
button {{ border: 0; background: #1f5fd1; color: #fff; cursor: pointer; }}
[role=alert] {{ color: light-dark(#a3171b, #ff9a9a); }}
</style>
</head>
<body>
<main>
<form method="post" action="/login">
<h1>Sign in to signoff</h1>
{problem}<label for="token">Your token</label>
<input id="token" name="token" type="password" autocomplete="current-password"
 required autofocus>
<input type="hidden" name="next" value="{next}">
<button>Sign in</button>
<p><small>An administrator makes one with <code>signoff token create NAME</code>.
</small></p>
</form>
</main>
</body>
</html>
"""


@router.get("/login")
def show_login(
    request: Request,
    so: Core,
    token: Annotated[str | None, Query()] = None,
    after: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    """The form; with a token, sign in at once. It decides nothing."""
    if token is None:
        return _form(after, None)
    return _sign_in(request, so, token, after)


@router.post("/login")
async def login(request: Request, so: Core) -> Response:
    """Sign in with what the form sent."""
    check_same_origin(request)
    sent = parse_qs((await request.body()).decode("utf-8", "replace"))
    token, after = sent.get("token", [""])[0], sent.get("next", ["/"])[0]
    return await run_in_threadpool(_sign_in, request, so, token.strip(), after)


@router.post("/logout")
def logout(request: Request) -> Response:
    """Forget the token in this browser."""
    check_same_origin(request)
    response = _redirect("/login")
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def safe_path(after: str) -> str:
    """A path on this server, whatever was asked for: `/` if it leads elsewhere."""
    return after if _LOCAL.fullmatch(after) is not None else "/"


def _sign_in(request: Request, so: Approvals, token: str, after: str) -> Response:
    try:
        so.authenticate(token, channel="inbox")
    except NotAuthenticated as error:
        return _form(after, error.reason)
    response = _redirect(safe_path(after))
    response.set_cookie(
        COOKIE, token, httponly=True, samesite="strict", secure=_is_secure(request)
    )
    return response


def _is_secure(request: Request) -> bool:
    origins = request.app.state.origins
    return request.url.scheme == "https" or any(o.startswith("https") for o in origins)


def _redirect(path: str) -> RedirectResponse:
    # The address that it leads away from may have a token in it.
    return RedirectResponse(path, 303, {"Referrer-Policy": "no-referrer"})


def _form(after: str, problem: str | None) -> Response:
    shown = "" if problem is None else f'<p role="alert">{escape(problem)}</p>\n'
    page = _PAGE.format(problem=shown, next=escape(safe_path(after)))
    return HTMLResponse(page, 200 if problem is None else 401)
