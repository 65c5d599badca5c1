"""Pseudonyms of users in logs and traces: stable, and meaningless without the key."""

import hashlib
from urllib.parse import quote

from onionskin.memory.store import Connection, Deployment
from onionskin.memory.types.messages import User
from onionskin.service.observability.request_context import PSEUDONYM

_BYTES = 6


class Pseudonyms:
    """Short keyed hashes of users; only the deployment's key links them to a user.

    Args:
        connection: Connection to the Redis that holds the key.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._key = connection, b""

    async def note(self, user: User) -> None:
        """Set the user of the current request or task.

        Raises:
            StoreUnavailableError: Redis cannot be reached, and the key is not read yet.
        """
        self._key = self._key or await Deployment(self._connection).pseudonym_key()
        PSEUDONYM.set(pseudonym(self._key, user))


def pseudonym(key: bytes, user: User) -> str:
    """The pseudonym of a user: `u_` and 48 bits of keyed BLAKE2b."""
    name = f"{quote(user.tenant, '')}/{quote(user.id, '')}".encode()
    return f"u_{hashlib.blake2b(name, key=key, digest_size=_BYTES).hexdigest()}"
