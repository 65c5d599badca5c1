"""What can go wrong when the service is asked."""

from datetime import timedelta
from typing import Any, cast


class OnionskinApiError(Exception):
    """The service answered with a problem (RFC 9457).

    Attributes:
        code: stable, for programs: the codes of the service, such as `unknown_session`.
        status: of HTTP; 0 where there was no answer.
        retry_after: when the same may work, where that is a matter of time alone.
        errors: where several fields cannot be used, each of them.
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
    """There was no answer: the service is away, or the connection broke."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="unreachable")


def problem_of(status: int, body: object, retry_after: str | None = None) -> OnionskinApiError:
    """The error of an answer, whatever stands in it.

    Args:
        status: of HTTP.
        body: what was answered, decoded.
        retry_after: the header, if there is one.
    """
    found = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    wait = timedelta(seconds=int(retry_after)) if retry_after and retry_after.isdigit() else None
    return OnionskinApiError(
        str(found.get("detail") or f"The service answered {status}."),
        code=str(found.get("code") or "unknown"),
        status=status,
        retry_after=wait,
        errors=tuple(found.get("errors") or ()),
    )
