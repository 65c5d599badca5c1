"""The data keys of users: made with their first write, and kept at hand by a worker.

A user's data key stands beside their data, wrapped by a master key; whoever erases the user erases
it. A write names the key that it sealed under, and the script that stores it refuses any other: so
no worker goes on with the key of somebody who was erased, and two that begin at once share one.

Which master keys a Redis was encrypted with: told at the start, not by the first user who fails.

Of each master key in use a check is kept, derived from the key; it says nothing of the key.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from onionskin.memory.errors import ConfigurationError, StoreUnavailableError
from onionskin.memory.store import keys
from onionskin.memory.store.encryption.ciphers import Cipher, PlainCipher, UserCipher, key_name
from onionskin.memory.store.encryption.master_keys import DataKey, MasterKeys
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.types.messages import User

Argument: TypeAlias = str | bytes | float
_DATA_KEY = Script("data_key")
_KEPT_SECONDS = 8 * 24 * 3600  # longer than anything is kept of somebody of whom nothing else is
_MOST_CIPHERS = 10_000
_PLAIN = PlainCipher(
    "What is stored is encrypted, and there are no keys: set ONIONSKIN_ENCRYPTION_KEYS."
)


class Keyring:
    """Runs scripts whose values are sealed; with no master keys, whose values are plain.

    Args:
        connection: how Redis is reached.
        masters: the master keys; None to leave everything plain.
        plaintext: whether values that were stored before there were keys are read.
        most: users whose data keys are kept at hand.
    """

    def __init__(
        self,
        connection: Connection,
        masters: MasterKeys | None = None,
        *,
        plaintext: bool = True,
        most: int = _MOST_CIPHERS,
    ) -> None:
        self._connection, self.masters = connection, masters
        self._plaintext, self._most = plaintext, most
        self._ciphers: OrderedDict[User, UserCipher] = OrderedDict()

    def __len__(self) -> int:
        """How many users' data keys are at hand."""
        return len(self._ciphers)

    async def run_read(self, user: User, script: Script, *args: Argument) -> tuple[Any, Cipher]:
        """Run a script that seals nothing: its answer, and how the values in it are opened.

        Raises:
            SealedError: the user's data key cannot be unwrapped.
        """
        prefix = keys.prefix(user)
        if self.masters is None:
            return await self._connection.run(script, prefix, *args), _PLAIN
        known = self._known(user)
        same, held, reply = await self._run(user, script, "read", known, args)
        if same:
            return reply, known or self._keyless(user)
        return reply, self._take(user, held)

    async def run_write(
        self, user: User, script: Script, arguments: Callable[[Cipher], Sequence[Argument]]
    ) -> Any:
        """Run a script that stores sealed values.

        Args:
            user: whose they are; they get a data key if they have none.
            script: stores them.
            arguments: makes the script's arguments with a cipher, once more where it was not the
                user's any more.

        Raises:
            SealedError: the user's data key cannot be unwrapped.
        """
        if self.masters is None:
            return await self._connection.run(script, keys.prefix(user), *arguments(_PLAIN))
        while True:
            cipher = self._known(user) or await self._begin(user, self.masters)
            same, held, *reply = await self._run(user, script, "write", cipher, arguments(cipher))
            if same:
                return reply[0]
            self._take(user, held)

    async def cipher_for(self, user: User, values: Sequence[bytes | None]) -> Cipher:
        """How values of the user are opened that a plain command has read."""
        if self.masters is None:
            return _PLAIN
        known = self._known(user)
        names = (key_name(value) for value in values if value)
        name = next((name for name in names if name), "")
        if not name or (known and name == known.name):
            return known or self._keyless(user)
        held = self._connection.commands.get(keys.data_key(user))
        return self._take(user, await self._connection.call(held) or b"")

    def forget(self, user: User) -> None:
        """Drop the user's data key from memory."""
        self._ciphers.pop(user, None)

    async def _run(
        self,
        user: User,
        script: Script,
        purpose: Literal["read", "write"],
        cipher: UserCipher | None,
        args: Sequence[Argument],
    ) -> Any:
        name = cipher.name if cipher else ""
        return await self._connection.run(script.keyed, keys.prefix(user), *args, purpose, name)

    async def _begin(self, user: User, masters: MasterKeys) -> UserCipher:
        """The data key of a user whose is not at hand, made if there is none."""
        prefix, drawn = keys.prefix(user), DataKey.drawn()
        cipher, masks = UserCipher(prefix, drawn, plaintext=self._plaintext), list[bytes]()
        while True:
            held, topics = await self._connection.run(
                _DATA_KEY, prefix, masters.wrap(prefix, drawn), _KEPT_SECONDS, *masks
            )
            if held:
                return self._take(user, held)
            for topic in topics:
                masks += (topic, cipher.blind_index("topic", topic.decode()))

    def _known(self, user: User) -> UserCipher | None:
        cipher = self._ciphers.get(user)
        if cipher:
            self._ciphers.move_to_end(user)
        return cipher

    def _take(self, user: User, held: bytes) -> UserCipher:
        """Keep the data key at hand that is the user's now; forget one that is not any more."""
        self.forget(user)
        if self.masters is None or not held:
            return self._keyless(user)
        key = self.masters.unwrap(keys.prefix(user), held)
        cipher = UserCipher(keys.prefix(user), key, plaintext=self._plaintext)
        self._ciphers[user] = cipher
        if len(self._ciphers) > self._most:
            self._ciphers.popitem(last=False)
        return cipher

    def _keyless(self, user: User) -> UserCipher:
        """What opens plain values alone, of a user who has no data key yet."""
        return UserCipher(keys.prefix(user), DataKey.drawn(), plaintext=self._plaintext)


_CHECK_BYTES = 16


async def open_keyring(
    connection: Connection, masters: MasterKeys | None, *, plaintext: bool = True
) -> Keyring:
    """The keyring for some master keys, after a look at what is stored.

    While Redis is away nothing can be told: a key that is wrong then shows by each of its users.

    Raises:
        ConfigurationError: a master key is missing, or is another one than that of its id.
    """
    with contextlib.suppress(StoreUnavailableError):
        in_use = await _check(connection, masters)
        if masters and masters.newest not in in_use:
            check = _derived(masters.newest, masters.keys[masters.newest])
            made = connection.commands.hsetnx(keys.MASTER_CHECKS, masters.newest, check)
            await connection.call(made)
            await _check(connection, masters)  # another worker may have been faster
    return Keyring(connection, masters, plaintext=plaintext)


async def forget_master_key(connection: Connection, key_id: str) -> bool:
    """Take a master key for lost: what it wraps stays shut; whether it was in use."""
    return bool(await connection.call(connection.commands.hdel(keys.MASTER_CHECKS, key_id)))


async def keep_checks(connection: Connection, key_id: str) -> list[str]:
    """Forget all master keys but one, once nothing is wrapped by them; which ones."""
    checks = await connection.call(connection.commands.hgetall(keys.MASTER_CHECKS))
    left = [found for one in checks if (found := one.decode()) != key_id]
    for one in left:
        await forget_master_key(connection, one)
    return left


async def _check(connection: Connection, masters: MasterKeys | None) -> set[str]:
    """The ids of the master keys in use, all of which are configured, as they were."""
    checks = await connection.call(connection.commands.hgetall(keys.MASTER_CHECKS))
    for found, stored in checks.items():
        key_id = found.decode()
        if masters is None:
            raise ConfigurationError(
                "What is stored is encrypted: set ONIONSKIN_ENCRYPTION_KEYS, with master key "
                f"{key_id!r}."
            )
        if key_id not in masters.keys:
            raise ConfigurationError(
                f"Users' data are sealed under master key {key_id!r}, which is not among "
                "ONIONSKIN_ENCRYPTION_KEYS. Add it, then `onionskin encryption rotate` to do without; "
                "if it is lost, `onionskin encryption forget` it."
            )
        if stored != _derived(key_id, masters.keys[key_id]):
            raise ConfigurationError(
                f"Master key {key_id!r} of ONIONSKIN_ENCRYPTION_KEYS is another one than that which "
                "this Redis was encrypted with. Give that one, or a new one under a new id."
            )
    return {found.decode() for found in checks}


def _derived(key_id: str, secret: bytes) -> bytes:
    purpose = f"onionskin master key check\n{key_id}".encode()
    return HKDFExpand(SHA256(), _CHECK_BYTES, purpose).derive(secret)
