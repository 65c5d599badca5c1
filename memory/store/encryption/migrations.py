"""Migrations of encrypted data: encrypt existing plain values, and rotate the master key.

Both run beside the service. A value that is done already is skipped, so an interrupted run is
simply started again. A plain value that changes during the run is left to the worker that changes
it. A rotation encrypts the data key of each user again, in one step, and touches no other value.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from onionskin.memory.errors import ConfigurationError, EncryptedValueError
from onionskin.memory.store import keys
from onionskin.memory.store.encryption.ciphers import Cipher, is_encrypted
from onionskin.memory.store.encryption.keyring import Argument, MasterKeyRegistry
from onionskin.memory.store.encryption.master_keys import MasterKeys, names_of
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.store.script_io import ENCRYPTED_FIELDS, without_revision
from onionskin.memory.types.messages import User

_REENCRYPT = Script("byte_count", "reencrypt")
_REWRAP_KEY = Script.inline("""
-- Store a user's data key as another master key wraps it, if it is still the one that was read.
-- KEYS[1] the user's prefix   ARGV 1 data key as it was read   2 data key wrapped again
local key = KEYS[1] .. 'key'
if redis.call('GET', key) ~= ARGV[1] then
  return 0
end
redis.call('SET', key, ARGV[2], 'KEEPTTL')
return 1
""")
_PAGE = 500
_COUNTED = ("messages", "vectors", "records")
"""Kinds of keys whose bytes count towards the user's storage."""
_STRINGS = ("shown:", "once:http:")
_PREFIXED = ("records", "items")
"""Hashes whose values begin with plain text and a space."""
_THREAD = re.compile("[^:]*:(checkpoints|blobs|writes:.*)")
_BLIND_INDEX = re.compile("[0-9a-f]{64}")
_Values: TypeAlias = Sequence[tuple[str | int, bytes]]


@dataclass(slots=True)
class EncryptionProgress:
    """Number of Redis keys that were checked, and of values that were encrypted."""

    seen: int = 0
    sealed: int = 0


@dataclass(slots=True)
class RotationProgress:
    """How far a rotation is.

    Attributes:
        seen: Data keys that were checked in this round.
        rewrapped: Data keys that were wrapped by the newest master key.
        failed: Data keys that cannot be decrypted; they stay as they are.
        dropped: The master keys that wrap no data key any more, at the end.
    """

    seen: int = 0
    rewrapped: int = 0
    failed: int = 0
    dropped: tuple[str, ...] = ()


def _ignore(_progress: EncryptionProgress | RotationProgress) -> None:
    """Report nothing."""


class EncryptionMigrations(Repository):
    """Encrypts what was stored before there were keys, and rotates the master key."""

    async def encrypt_existing(
        self, *, on_progress: Callable[[EncryptionProgress], None] = _ignore
    ) -> EncryptionProgress:
        """Encrypt every plain value of every user.

        Args:
            on_progress: Called after each Redis key.

        Raises:
            ConfigurationError: There are no master keys.
            EncryptedValueError: The data key of a user cannot be decrypted; the users before are
                done.
        """
        self._require_masters()
        progress = EncryptionProgress()
        async for name in self._connection.scan_keys(keys.EVERY_KEY):
            user, rest = keys.parse_user(name), name.partition("}:")[2]
            async for values in self._read(name, rest):
                plain = [
                    (at, value) for at, value in values if value and _is_plain(rest, at, value)
                ]
                if plain:
                    progress.sealed += await self._encrypt(user, rest, plain)
            progress.seen += 1
            on_progress(progress)
        return progress

    async def rotate_master_key(
        self, *, on_progress: Callable[[RotationProgress], None] = _ignore
    ) -> RotationProgress:
        """Wrap every user's data key by the newest master key, in rounds until none is left.

        The keyring needs the newest master key, and all those that still wrap a data key.

        Args:
            on_progress: Called after each data key.

        Raises:
            ConfigurationError: There are no master keys.
        """
        masters = self._require_masters()
        progress, before = RotationProgress(), -1
        while progress.rewrapped > before:
            before, progress.seen, progress.failed = progress.rewrapped, 0, 0
            async for name in self._connection.scan_keys(keys.DATA_KEYS):
                if name.partition("}:")[2] == "key":
                    await self._rewrap(masters, name, progress)
                    on_progress(progress)
        if not progress.failed:
            registry = MasterKeyRegistry(self._connection)
            progress.dropped = tuple(await registry.retain(masters.newest))
        return progress

    def _require_masters(self) -> MasterKeys:
        if self._keyring.masters is None:
            raise ConfigurationError("There are no keys: set ONIONSKIN_ENCRYPTION_KEYS.")
        return self._keyring.masters

    async def _encrypt(self, user: User, rest: str, plain: _Values) -> int:
        kind, is_counted = _kind(rest), int(rest.partition(":")[0] in _COUNTED)

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [kind, rest, is_counted]
            for field, value in plain:
                values += (field, value, _encrypted(cipher, rest, field, value))
            return values

        return await self._keyring.run_write(user, _REENCRYPT, arguments)

    async def _read(self, name: str, rest: str) -> AsyncIterator[_Values]:
        """The values of a key that are to be encrypted, with their fields or indexes, by pages."""
        call, commands = self._call, self._commands
        match _kind(rest):
            case "list":
                start = 0
                while True:
                    page: list[bytes] = await call(commands.lrange(name, start, start + _PAGE - 1))
                    yield list(enumerate(page, start))
                    start += len(page)
                    if len(page) < _PAGE:
                        return
            case "hash" | "topics":
                fields: list[str] = [*ENCRYPTED_FIELDS]
                if not rest.startswith("session:"):
                    fields = [field.decode() for field in await call(commands.hkeys(name))]
                for start in range(0, len(fields), _PAGE):
                    names = fields[start : start + _PAGE]
                    yield list(zip(names, await call(commands.hmget(name, names)), strict=True))
            case "string":
                yield [("", await call(commands.get(name)) or b"")]
            case _:
                return

    async def _rewrap(self, masters: MasterKeys, name: str, progress: RotationProgress) -> None:
        owner = name.removesuffix("key")
        stored = await self._call(self._commands.get(name))
        if stored is None:
            return  # erased in between
        progress.seen += 1
        try:
            if names_of(stored)[1] == masters.newest:
                return
            wrapped = masters.wrap(owner, masters.unwrap(owner, stored))
        except EncryptedValueError:
            progress.failed += 1
            return
        progress.rewrapped += await self._connection.run(_REWRAP_KEY, owner, stored, wrapped)


def _kind(rest: str) -> str:
    """How a key holds encrypted values: `list`, `hash`, `topics` or `string`; '' if it has none."""
    family, _, name = rest.partition(":")
    if rest.startswith(_STRINGS):
        return "string"
    if family == "thread":
        return "hash" if _THREAD.fullmatch(name) else ""
    if name:
        return {"messages": "list", "history": "list", "session": "hash"}.get(family, "")
    return {"vectors": "hash", "topics": "topics"}.get(family, "hash" if rest in _PREFIXED else "")


def _is_plain(rest: str, field: str | int, value: bytes) -> bool:
    if rest == "topics":
        return not _BLIND_INDEX.fullmatch(str(field))
    return not is_encrypted(without_revision(value) if rest in _PREFIXED else value)


def _encrypted(cipher: Cipher, rest: str, field: str | int, value: bytes) -> bytes:
    match _kind(rest):
        case "topics":
            return cipher.blind_index("topic", str(field))
        case "hash" if rest in _PREFIXED:
            revision, _, packed = value.partition(b" ")
            return revision + b" " + cipher.encrypt(f"{rest}:{field}", packed)
        case "string":
            return cipher.encrypt(rest, value)
        case _ if rest.startswith("history:"):
            return cipher.encrypt(rest, value)
        case _:
            return cipher.encrypt(f"{rest}:{field}", value)
