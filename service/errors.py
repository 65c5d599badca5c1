"""Errors as RFC 9457 problem details: one table of codes and statuses."""

import math
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from onionskin.chains.errors import ModelError, ModelRequestError
from onionskin.memory.errors import OnionskinError
from onionskin.service.auth.principals import UnauthorizedError
from onionskin.service.limits.budgets import BudgetSpentError
from onionskin.service.limits.headers import add_quotas
from onionskin.service.limits.rate_limits import RateLimitedError

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    "invalid_input": 422,
    "message_too_long": 413,
    "unknown_profile": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "rate_limited": 429,
    "budget_spent": 429,
    "unknown_user": 404,
    "model_not_found": 404,
    "unknown_session": 404,
    "unknown_memory": 404,
    "unknown_turn": 404,
    "idempotency_key_reused": 422,
    "idempotency_in_flight": 409,
    "session_busy": 409,
    "overtaken": 409,
    "turn_interrupted": 409,
    "memory_conflict": 409,
    "precondition_failed": 412,
    "topic_taken": 409,
    "memories_full": 409,
    "session_closed": 409,
    "import_conflict": 409,
    "store_unavailable": 503,
    "store_busy": 503,
    "sealed": 503,
    "store_refused": 507,
    "room_full": 507,
    "issuer_unavailable": 503,
    "model_refused": 400,
    "model_failed": 502,
    "model_unavailable": 503,
    "model_timeout": 504,
    "request_timeout": 504,
}
_ALWAYS = (400, 401, 413, 429, 503, 504)
_INTERNAL = "Something went wrong here; it was logged."
_ADVICE = {
    HTTPStatus.NOT_FOUND: "This path does not exist. /docs lists all paths.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not support the method. /docs lists all paths.",
}
_Json = dict[str, Any]
ErrorFormat: TypeAlias = Callable[[_Json, Mapping[str, str] | None], JSONResponse]
"""Renders problem details, with headers, as the response of an error."""


def problem(error: OnionskinError) -> _Json:
    """The problem details of an error; also the data of an `error` event in a stream."""
    status = error.status if isinstance(error, ModelRequestError) else _STATUS.get(error.code, 500)
    detail = str(error) if error.code in _STATUS else _INTERNAL
    details = _details(status, error.code, detail)
    if isinstance(error, ModelError) and error.turn_id:
        details |= {"session_id": error.session_id, "turn_id": error.turn_id}
    return details


def problem_responses(*statuses: int) -> dict[int | str, _Json]:
    """The OpenAPI responses of the problems that an endpoint answers with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*statuses, *_ALWAYS})
    }


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with problem details, or in the format of its path."""
    app.add_exception_handler(OnionskinError, _on_onionskin_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_anything_else)


def add_error_format(app: FastAPI, prefixes: Iterable[str], error_format: ErrorFormat) -> None:
    """Answer errors under the paths `prefixes` in their own format."""
    formats = getattr(app.state, "error_formats", {})
    app.state.error_formats = formats | dict.fromkeys(prefixes, error_format)


def error_response(request: Request, error: OnionskinError) -> JSONResponse:
    """The response to a request that failed with `error`."""
    body = problem(error)
    headers: dict[str, str] = {}
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimitedError | BudgetSpentError):
        add_quotas(request.scope, (error.quota,))
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    return _answer(request, body, headers)


async def handled_errors(request: Request, error: Exception) -> JSONResponse:
    """The response to an error of a request, of a kind that `add_error_handlers` knows."""
    if isinstance(error, OnionskinError):
        return error_response(request, error)
    if isinstance(error, RequestValidationError):
        return await _on_invalid_request(request, error)
    return await _on_http_exception(request, error)


async def _on_onionskin_error(request: Request, error: Exception) -> JSONResponse:
    return error_response(request, cast("OnionskinError", error))


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    problems = cast("RequestValidationError", error).errors()
    errors = [{"where": ".".join(map(str, item["loc"])), "what": item["msg"]} for item in problems]
    first = errors[0] if errors else {"where": "body", "what": "cannot be read"}
    if first["where"] == "body" and "json" not in request.headers.get("content-type", ""):
        first = {"where": "body", "what": "send it with the header Content-Type: application/json"}
    malformed = next((item for item in problems if item["type"] == "json_invalid"), None)
    if malformed:
        place, why = malformed["loc"][-1], malformed.get("ctx", {}).get("error", "cannot be parsed")
        first = {"where": "body", "what": f"invalid JSON at character {place}: {why}"}
    status = 400 if malformed else 422
    detail = f"{first['where']}: {first['what']}."
    body = _details(status, "malformed_json" if malformed else "invalid_input", detail)
    return _answer(request, body | {"errors": errors})


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    exception = cast("HTTPException", error)
    status = HTTPStatus(exception.status_code)
    code = status.phrase.lower().replace(" ", "_")
    detail = exception.detail
    if detail == status.phrase:
        detail = _ADVICE.get(status, detail)
    return _answer(request, _details(status, code, detail), dict(exception.headers or {}))


async def _on_anything_else(request: Request, error: Exception) -> JSONResponse:
    del error  # the server logs it; its text may hold user data
    body = _details(500, "internal", _INTERNAL)
    return _answer(request, body)


def _answer(request: Request, body: _Json, headers: dict[str, str] | None = None) -> JSONResponse:
    own_format: ErrorFormat | None = getattr(request.scope.get("route"), "error_format", None)
    if own_format is not None:
        return own_format(body, headers)
    path = request.url.path
    formats: Mapping[str, ErrorFormat] = getattr(request.app.state, "error_formats", {})
    for prefix, error_format in formats.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return error_format(body, headers)
    return JSONResponse(body, body["status"], headers, MEDIA_TYPE)


def _details(status: int, code: str, detail: str) -> _Json:
    title = HTTPStatus(status).phrase
    return {
        "type": f"urn:onionskin:error:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
