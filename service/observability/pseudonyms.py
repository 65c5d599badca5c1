"""What users are called in logs and traces: the same in every line, and nobody to a reader."""

import hashlib
from contextvars import ContextVar
from urllib.parse import quote

from onionskin.memory.store import Connection
from onionskin.memory.store.deployment import Deployment
from onionskin.memory.types.messages import User

PSEUDONYM: ContextVar[str] = ContextVar("pseudonym", default="")
"""Of the user whose request or job is at hand; empty before it is known who that is."""
_BYTES = 6


class Pseudonyms:
    """Short keyed hashes of users: without the deployment's key nobody can tell whose they are.

    Args:
        connection: to the Redis that keeps the key.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._key = connection, b""

    async def note(self, user: User) -> None:
        """From here on it is this user that the request or job at hand is about.

        Raises:
            StoreUnavailableError: Redis is away, and the key was not read yet.
        """
        self._key = self._key or await Deployment(self._connection).pseudonym_key()
        PSEUDONYM.set(pseudonym(self._key, user))


def pseudonym(key: bytes, user: User) -> str:
    """`u_` and 48 bits of BLAKE2b, keyed."""
    name = f"{quote(user.tenant, '')}/{quote(user.id, '')}".encode()
    return f"u_{hashlib.blake2b(name, key=key, digest_size=_BYTES).hexdigest()}"
