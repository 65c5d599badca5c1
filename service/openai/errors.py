"""Errors in OpenAI's format, for the paths of its API."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import JSONResponse

from onionskin.service.api_route import ApiRoute
from onionskin.service.errors import add_error_format

PREFIXES = ("/v1/chat/completions", "/v1/models")
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_BAD_REQUEST, _UNPROCESSABLE, _SERVER_ERROR = 400, 422, 500


class OpenAIProblem(BaseModel):
    """Type and message of an error."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error in OpenAI's format."""

    error: OpenAIProblem


def openai_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of an endpoint, for its OpenAPI description."""
    return {
        status: {"model": OpenAIError, "description": HTTPStatus(status).phrase}
        for status in (*statuses, 401, 429, 503, 504)
    }


def install_error_format(app: FastAPI) -> None:
    """Answer errors under OpenAI's paths in OpenAI's format."""
    add_error_format(app, PREFIXES, openai_error)


def openai_error(problem: dict[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error response from problem details; 422 becomes 400, as in OpenAI's API."""
    status = int(problem["status"])
    status = _BAD_REQUEST if status == _UNPROCESSABLE else status
    return JSONResponse(error_body(problem), status, headers)


def error_body(problem: dict[str, Any]) -> dict[str, Any]:
    """The body of an error response, from problem details."""
    status = int(problem["status"])
    default_type = "server_error" if status >= _SERVER_ERROR else "invalid_request_error"
    field_errors: list[dict[str, str]] = problem.get("errors") or [{}]
    where = field_errors[0].get("where", "")
    return {
        "error": {
            "message": problem["detail"],
            "type": _ERROR_TYPES.get(status, default_type),
            "param": where.removeprefix("body.") or None,
            "code": problem["code"],
        }
    }


class OpenAIRoute(ApiRoute):
    """A route whose errors have OpenAI's format."""

    error_format = staticmethod(openai_error)
