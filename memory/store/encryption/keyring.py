"""The keyring: users' data keys, and the check of the configured master keys at start.

A user's data key is created with the first write and stored beside the user's data, wrapped by a
master key; erasing the user erases it. A write names the key that it encrypted with, and the script
refuses any other key. So no worker continues with the key of an erased user, and two workers that
begin at once share one key.

Redis keeps a check value of each master key in use. It is derived from the key and reveals nothing
about it.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeAlias

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
_GET_OR_CREATE_DATA_KEY = Script("get_or_create_data_key")
_UNUSED_KEY_SECONDS = 8 * 24 * 3600
"""How long a data key without other data is kept: longer than any value with a time-to-live."""
_MAX_CIPHERS = 10_000
_CHECK_BYTES = 16
_PLAIN = PlainCipher(
    "The stored data are encrypted, and no keys are configured: set ONIONSKIN_ENCRYPTION_KEYS."
)


class Keyring:
    """Runs scripts whose values are encrypted; without master keys, values are plain.

    Args:
        connection: The connection to Redis.
        masters: The master keys; None stores values plain.
        plaintext: Whether values that were stored before encryption was enabled are readable.
        max_ciphers: Number of users whose data keys are cached.
    """

    def __init__(
        self,
        connection: Connection,
        masters: MasterKeys | None = None,
        *,
        plaintext: bool = True,
        max_ciphers: int = _MAX_CIPHERS,
    ) -> None:
        self._connection, self.masters = connection, masters
        self._plaintext, self._max_ciphers = plaintext, max_ciphers
        self._ciphers: OrderedDict[User, UserCipher] = OrderedDict()

    @classmethod
    async def open(
        cls, connection: Connection, masters: MasterKeys | None, *, plaintext: bool = True
    ) -> Self:
        """A keyring whose master keys were checked against what is stored.

        While Redis is away there is no check; a wrong key then fails for each of its users.

        Raises:
            ConfigurationError: A master key is missing, or differs from the one with its id.
        """
        with contextlib.suppress(StoreUnavailableError):
            await MasterKeyRegistry(connection).verify(masters)
        return cls(connection, masters, plaintext=plaintext)

    def __len__(self) -> int:
        """How many users' data keys are cached."""
        return len(self._ciphers)

    async def run_read(self, user: User, script: Script, *args: Argument) -> tuple[Any, Cipher]:
        """Run a script that encrypts nothing; returns its reply and the cipher for its values.

        Raises:
            EncryptedValueError: The user's data key cannot be unwrapped.
        """
        prefix = keys.prefix(user)
        if self.masters is None:
            return await self._connection.run(script, prefix, *args), _PLAIN
        cached = self._cached(user)
        is_current, stored_key, reply = await self._run(user, script, "read", cached, args)
        if is_current:
            return reply, cached or self._keyless(user)
        return reply, self._cache(user, stored_key)

    async def run_write(
        self, user: User, script: Script, arguments: Callable[[Cipher], Sequence[Argument]]
    ) -> Any:
        """Run a script that stores encrypted values.

        Args:
            user: The owner of the values; gets a data key on the first write.
            script: Stores the values.
            arguments: Makes the script's arguments with a cipher; called again if the data key
                has changed.

        Raises:
            EncryptedValueError: The user's data key cannot be unwrapped.
        """
        if self.masters is None:
            return await self._connection.run(script, keys.prefix(user), *arguments(_PLAIN))
        while True:
            cipher = self._cached(user) or await self._get_or_create(user, self.masters)
            is_current, stored_key, *reply = await self._run(
                user, script, "write", cipher, arguments(cipher)
            )
            if is_current:
                return reply[0]
            self._cache(user, stored_key)

    async def cipher_for(self, user: User, values: Sequence[bytes | None]) -> Cipher:
        """The cipher for values of the user that a plain command has read."""
        if self.masters is None:
            return _PLAIN
        cached = self._cached(user)
        names = (key_name(value) for value in values if value)
        name = next((name for name in names if name), "")
        if not name or (cached and name == cached.name):
            return cached or self._keyless(user)
        stored_key = self._connection.commands.get(keys.data_key(user))
        return self._cache(user, await self._connection.call(stored_key) or b"")

    def forget(self, user: User) -> None:
        """Remove the user's data key from the cache."""
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
        prefix = keys.prefix(user)
        return await self._connection.run(script.with_key_check, prefix, *args, purpose, name)

    async def _get_or_create(self, user: User, masters: MasterKeys) -> UserCipher:
        """The cipher of a user whose data key is not cached; the key is created if there is none.

        Topics of plain records are replaced by their blind index in the same step.
        """
        prefix, new_key = keys.prefix(user), DataKey.new()
        cipher = UserCipher(prefix, new_key, plaintext=self._plaintext)
        indexes = list[bytes]()
        while True:
            stored_key, topics = await self._connection.run(
                *(_GET_OR_CREATE_DATA_KEY, prefix, masters.wrap(prefix, new_key)),
                *(_UNUSED_KEY_SECONDS, *indexes),
            )
            if stored_key:
                return self._cache(user, stored_key)
            for topic in topics:
                indexes += (topic, cipher.blind_index("topic", topic.decode()))

    def _cached(self, user: User) -> UserCipher | None:
        cipher = self._ciphers.get(user)
        if cipher:
            self._ciphers.move_to_end(user)
        return cipher

    def _cache(self, user: User, stored_key: bytes) -> UserCipher:
        """Cache the user's current data key in place of an outdated one."""
        self.forget(user)
        if self.masters is None or not stored_key:
            return self._keyless(user)
        key = self.masters.unwrap(keys.prefix(user), stored_key)
        cipher = UserCipher(keys.prefix(user), key, plaintext=self._plaintext)
        self._ciphers[user] = cipher
        if len(self._ciphers) > self._max_ciphers:
            self._ciphers.popitem(last=False)
        return cipher

    def _keyless(self, user: User) -> UserCipher:
        """A cipher that reads only plain values, for a user who has no data key yet."""
        return UserCipher(keys.prefix(user), DataKey.new(), plaintext=self._plaintext)


class MasterKeyRegistry:
    """The check values of the master keys that are in use on a Redis.

    Args:
        connection: The connection to Redis.
    """

    def __init__(self, connection: Connection) -> None:
        self._call, self._commands = connection.call, connection.commands

    async def verify(self, masters: MasterKeys | None) -> None:
        """Check that every master key in use is configured, and register the newest one.

        Raises:
            ConfigurationError: A master key is missing, or differs from the one with its id.
        """
        in_use = await self._verify(masters)
        if masters and masters.newest not in in_use:
            check = _check_value(masters.newest, masters.keys[masters.newest])
            await self._call(self._commands.hsetnx(keys.MASTER_KEY_CHECKS, masters.newest, check))
            await self._verify(masters)  # another worker may have been faster

    async def forget(self, key_id: str) -> bool:
        """Remove a lost master key, whose data keys stay unreadable; whether it was in use."""
        return bool(await self._call(self._commands.hdel(keys.MASTER_KEY_CHECKS, key_id)))

    async def retain(self, key_id: str) -> list[str]:
        """Remove all master keys but one, once they wrap no data key; returns the removed ones."""
        checks = await self._call(self._commands.hgetall(keys.MASTER_KEY_CHECKS))
        removed = [name.decode() for name in checks if name.decode() != key_id]
        for name in removed:
            await self.forget(name)
        return removed

    async def _verify(self, masters: MasterKeys | None) -> set[str]:
        """Check that all master keys in use are configured and unchanged; returns their ids."""
        checks = await self._call(self._commands.hgetall(keys.MASTER_KEY_CHECKS))
        for name, stored in checks.items():
            key_id = name.decode()
            if masters is None:
                raise ConfigurationError(
                    "The stored data are encrypted: set ONIONSKIN_ENCRYPTION_KEYS, with master key "
                    f"{key_id!r}."
                )
            if key_id not in masters.keys:
                raise ConfigurationError(
                    f"Users' data are encrypted under master key {key_id!r}, which is not among "
                    "ONIONSKIN_ENCRYPTION_KEYS. Add it, then run `onionskin encryption rotate` to "
                    f"retire it; if it is lost, run `onionskin encryption forget {key_id}`."
                )
            if stored != _check_value(key_id, masters.keys[key_id]):
                raise ConfigurationError(
                    f"Master key {key_id!r} of ONIONSKIN_ENCRYPTION_KEYS differs from the one that "
                    "this Redis was encrypted with. Configure that one, or a new one under a new "
                    "id."
                )
        return {name.decode() for name in checks}


def _check_value(key_id: str, secret: bytes) -> bytes:
    purpose = f"onionskin master key check\n{key_id}".encode()
    return HKDFExpand(SHA256(), _CHECK_BYTES, purpose).derive(secret)
