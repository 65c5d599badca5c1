"""Principals: the identity of a request, its tenant, and the users it has access to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from onionskin.memory.errors import OnionskinError
from onionskin.memory.types.messages import User

DEFAULT_TENANT = "default"


class UnauthorizedError(OnionskinError):
    """The credentials are missing or invalid."""

    code = "unauthorized"


class ForbiddenError(OnionskinError):
    """The scope of the principal does not cover the request."""

    code = "forbidden"


class UnknownUserError(OnionskinError):
    """The principal has no access to a user of this id."""

    code = "unknown_user"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"These credentials have no access to a user {user_id!r}.")


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity of a request.

    Attributes:
        id: Name in limits and logs; not secret.
        tenant: Tenant of its users.
        user_id: The only user it has access to; None for all users of the tenant.
        time_zone: The user's time zone, as the token claims it; empty if unknown.
    """

    id: str
    tenant: str = DEFAULT_TENANT
    user_id: str | None = None
    time_zone: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether it has access to every user of its tenant."""
        return self.user_id is None

    def user(self, user_id: str) -> User:
        """The user of an id.

        Raises:
            UnknownUserError: The principal has no access; the error does not reveal whether the
                user exists.
        """
        if self.user_id is not None and user_id != self.user_id:
            raise UnknownUserError(user_id)
        return User(user_id, self.tenant)

    def require_admin(self) -> None:
        """Raise ForbiddenError unless it has access to every user of its tenant."""
        if not self.is_admin:
            raise ForbiddenError(
                "This needs credentials with the scope `admin`; these are a user's."
            )


class Authenticator(Protocol):
    """Authenticates requests."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The principal of the credentials in the headers.

        Raises:
            UnauthorizedError: The credentials are missing, wrong, expired or revoked.
        """
        ...


class Anybody:
    """`ONIONSKIN_AUTH=off`: every request is the owner's."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The only principal."""
        del headers
        return Principal("anybody")


def bearer(headers: Mapping[str, str]) -> str:
    """The credentials of `Authorization: Bearer ...` or `X-API-Key`.

    Raises:
        UnauthorizedError: There are none.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    credentials = (
        value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    )
    if not credentials:
        raise UnauthorizedError(
            "Credentials are missing. Send `Authorization: Bearer <key or token>`."
        )
    return credentials
