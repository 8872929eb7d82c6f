"""Errors as problem documents (RFC 9457): what is wrong, the cure, and no internals."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from signoff.domain.errors import (
    NotAuthenticated,
    SchemaTooNew,
    SignoffError,
    StorageUnavailable,
)

SCHEMA: Final = {
    "type": "object",
    "description": "`code` is stable, for programs; an error's own fields are beside.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "code"],
}
log: Final = logging.getLogger("signoff.server")

_OWN_CODES: Final = {
    HTTPStatus.FORBIDDEN: "foreign_origin",
    HTTPStatus.NOT_FOUND: "no_such_page",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}


class ForeignOrigin(HTTPException):
    """The browser sent this from a page that isn't ours."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.FORBIDDEN,
            "This came from another site's page. Use the inbox itself, or send the "
            "token as a bearer.",
        )


class Problem(Response):
    """An error as `application/problem+json`."""

    media_type = "application/problem+json"

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        document = {
            **({} if more is None else more),
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "code": code,
        }
        body = json.dumps(document, default=list)
        super().__init__(body, status_code=status, headers=headers)


def problem_of(error: SignoffError) -> Problem:
    """The document of one of signoff's own errors, with the fields that it has."""
    shown = _without_internals(error)
    more = {name: value for name, value in vars(shown).items() if name[0] != "_"}
    headers = (
        {"WWW-Authenticate": 'Bearer realm="signoff"'}
        if isinstance(error, NotAuthenticated)
        else None
    )
    return Problem(
        error.status,
        error.code,
        type(error).__name__,
        str(shown),
        more=more,
        headers=headers,
    )


def install(app: FastAPI) -> None:
    """Answer every error of an app in this form."""
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        SignoffError: _signoff_error,
        RequestValidationError: _invalid,
        HTTPException: _http_error,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _without_internals(error: SignoffError) -> SignoffError:
    """Where the database is and why it fails is for the operator's log only."""
    if isinstance(error, StorageUnavailable):
        log.error("%s", error)
        return StorageUnavailable("of the server", "the server's log names the cause")
    if isinstance(error, SchemaTooNew):
        log.error("%s", error)
    return error


async def _signoff_error(_request: Request, error: SignoffError) -> Response:
    return problem_of(error)


async def _invalid(_request: Request, error: RequestValidationError) -> Response:
    problems = [_sentence(one) for one in error.errors()]
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        "InvalidRequest",
        f"The request was not understood: {'; '.join(problems)}.",
        more={"problems": problems},
    )


def _sentence(problem: Mapping[str, Any]) -> str:
    # What was sent is not repeated: it may hold a secret.
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}"


async def _http_error(_request: Request, error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    code = _OWN_CODES.get(status, "http_error")
    detail = str(error.detail)
    return Problem(status, code, status.phrase, detail, headers=error.headers)


def unexpected() -> Problem:
    """What is said of an error that nobody foresaw: nothing."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "InternalError",
        "The server failed at this; its log says why.",
    )
