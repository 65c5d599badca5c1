"""The data keys of users: made with their first write, and kept at hand by a worker.

A user's data key stands beside their data, wrapped by a master key; whoever erases the user erases
it. A write names the key that it sealed under, and the script that stores it refuses any other: so
no worker goes on with the key of somebody who was erased, and two that begin at once share one.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from memory.store import keys
from memory.store.connection import Connection
from memory.store.master_keys import DataKey, MasterKeys
from memory.store.scripts import Script
from memory.store.sealing import Cipher, PlainCipher, UserCipher, key_name
from memory.types import User

Argument: TypeAlias = str | bytes | float
_DATA_KEY = Script("data_key")
_KEPT_SECONDS = 8 * 24 * 3600  # longer than anything is kept of somebody of whom nothing else is
_MOST_CIPHERS = 10_000
_PLAIN = PlainCipher(
    "What is stored is encrypted, and there are no keys: set STRATA_ENCRYPTION_KEYS."
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

    async def read(self, user: User, script: Script, *args: Argument) -> tuple[Any, Cipher]:
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

    async def write(
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

    async def cipher(self, user: User, values: Sequence[bytes | None]) -> Cipher:
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
                masks += (topic, cipher.mask("topic", topic.decode()))

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
