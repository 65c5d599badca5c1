"""Errors in OpenAI's shape, under its paths."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import JSONResponse

from onionskin.service.errors import add_error_format

PREFIXES = ("/v1/chat/completions", "/v1/models")
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_BAD_REQUEST, _UNPROCESSABLE, _SERVER_ERROR = 400, 422, 500


class OpenAIProblem(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error in OpenAI's shape."""

    error: OpenAIProblem


def openai_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the errors of an endpoint."""
    return {
        status: {"model": OpenAIError, "description": HTTPStatus(status).phrase}
        for status in (*statuses, 401, 429, 503, 504)
    }


def install_error_format(app: FastAPI) -> None:
    """Answer errors under OpenAI's paths in OpenAI's format."""
    add_error_format(app, PREFIXES, openai_error)


def openai_error(problem: dict[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Problem details as OpenAI's clients know them; what cannot be used is 400 there."""
    status = int(problem["status"])
    status = _BAD_REQUEST if status == _UNPROCESSABLE else status
    return JSONResponse(error_body(problem), status, headers)


def error_body(problem: dict[str, Any]) -> dict[str, Any]:
    """The body of an error."""
    status = int(problem["status"])
    kind = "server_error" if status >= _SERVER_ERROR else "invalid_request_error"
    found: list[dict[str, str]] = problem.get("errors") or [{}]
    where = found[0].get("where", "")
    return {
        "error": {
            "message": problem["detail"],
            "type": _KINDS.get(status, kind),
            "param": where.removeprefix("body.") or None,
            "code": problem["code"],
        }
    }
