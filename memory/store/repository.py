"""Repository: the base of the classes that read and write one kind of a user's data."""

from dataclasses import dataclass

from onionskin.memory.privacy.retention import Retention
from onionskin.memory.store.encryption.keyring import Keyring
from onionskin.memory.store.redis.connection import Connection


@dataclass(frozen=True, slots=True)
class StoreContext:
    """What all repositories of a store share.

    Attributes:
        connection: The connection to Redis.
        keyring: Encrypts and decrypts values; plain without master keys.
        retention: How long sessions and records are readable.
        embedder_tag: The embedder in use; vectors of other embedders are ignored.
        log_length: Number of entries that a user's change log keeps.
    """

    connection: Connection
    keyring: Keyring
    retention: Retention
    embedder_tag: str
    log_length: int


class Repository:
    """The base of the repositories.

    Args:
        context: The connection, keyring and options of the store.
    """

    def __init__(self, context: StoreContext) -> None:
        self._connection, self._keyring = context.connection, context.keyring
        self._retention = context.retention
        self._embedder_tag, self._log_length = context.embedder_tag, context.log_length
        self._call, self._commands = self._connection.call, self._connection.commands
