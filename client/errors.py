"""Errors that both clients raise."""

from datetime import timedelta
from typing import Any, cast


class OnionskinApiError(Exception):
    """The service answered with a problem (RFC 9457).

    Attributes:
        code: Stable error code of the service, such as `unknown_session`.
        status: HTTP status; 0 if there was no answer.
        retry_after: How long to wait before a retry, if a retry may succeed.
        errors: One entry per invalid field, if the request was invalid.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int = 0,
        retry_after: timedelta | None = None,
        errors: tuple[dict[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.code, self.status, self.retry_after, self.errors = code, status, retry_after, errors


class UnreachableError(OnionskinApiError):
    """There was no answer: the service is down, or the connection broke."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="unreachable")


def problem_of(status: int, body: object, retry_after: str | None = None) -> OnionskinApiError:
    """The error for an unsuccessful response; any body is accepted.

    Args:
        status: HTTP status.
        body: Decoded response body.
        retry_after: Value of the Retry-After header, if present.
    """
    problem = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    wait = timedelta(seconds=int(retry_after)) if retry_after and retry_after.isdigit() else None
    return OnionskinApiError(
        str(problem.get("detail") or f"The service answered {status}."),
        code=str(problem.get("code") or "unknown"),
        status=status,
        retry_after=wait,
        errors=tuple(problem.get("errors") or ()),
    )
