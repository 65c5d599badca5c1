"""Principals: who asks, in which tenant, and which users' memories are theirs to reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from onionskin.memory.errors import OnionskinError
from onionskin.memory.types.messages import User

DEFAULT_TENANT = "default"


class UnauthorizedError(OnionskinError):
    """No credentials came, or none that hold."""

    code = "unauthorized"


class ForbiddenError(OnionskinError):
    """The principal is known, but this is not for its scope."""

    code = "forbidden"


class UnknownUserError(OnionskinError):
    """For this principal there is no such user."""

    code = "unknown_user"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"No user {user_id!r} that these credentials reach.")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        id: names it in limits and logs; no secret.
        tenant: whose users it reaches.
        user_id: the one user that it reaches; None for all of the tenant's.
    """

    id: str
    tenant: str = DEFAULT_TENANT
    user_id: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether it reaches every user of its tenant."""
        return self.user_id is None

    def user(self, user_id: str) -> User:
        """The user of an id, if it is the principal's to reach.

        Raises:
            UnknownUserError: it is not; whether there is such a user is not told.
        """
        if self.user_id is not None and user_id != self.user_id:
            raise UnknownUserError(user_id)
        return User(user_id, self.tenant)

    def require_admin(self) -> None:
        """Raise ForbiddenError unless it reaches every user of its tenant."""
        if not self.is_admin:
            raise ForbiddenError(
                "This is for credentials with the scope `admin`; these are a user's."
            )


class Authenticator(Protocol):
    """From a request's credentials to who asks."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who asks.

        Raises:
            UnauthorizedError: the credentials are missing, wrong, expired or revoked.
        """
        ...


class Anybody:
    """`ONIONSKIN_AUTH=off`: whoever reaches the service is its owner."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The one principal there is."""
        del headers
        return Principal("anybody")


def bearer(headers: Mapping[str, str]) -> str:
    """The credentials of a request: `Authorization: Bearer ...`, or `X-API-Key`.

    Raises:
        UnauthorizedError: there are none.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    found = value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    if not found:
        raise UnauthorizedError(
            "Credentials are missing. Send `Authorization: Bearer <key or token>`."
        )
    return found
