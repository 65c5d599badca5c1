"""Sealing what was stored before there were keys, where it lies, while the service runs.

A value that is sealed already is passed over and one that changes meanwhile is left to who changes
it, so that a run that was killed is simply run again.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from memory.errors import ConfigurationError
from memory.store import keys
from memory.store.decode import SEALED_FIELDS, without_revision
from memory.store.keyring import Argument
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.store.sealing import Cipher, is_sealed
from memory.store.users import scan_keys
from memory.types import User

_RESEAL = Script("weigh", "reseal")
_PAGE = 500
_COUNTED = ("messages", "vectors", "records")
_STRINGS = ("shown:", "once:http:")
_PREFIXED = ("records", "items")
"""Hashes whose values begin with something that is not sealed, and a blank."""
_THREAD = re.compile("[^:]*:(checkpoints|blobs|writes:.*)")
_MASK = re.compile("[0-9a-f]{64}")
_Values: TypeAlias = Sequence[tuple[str | int, bytes]]


@dataclass(slots=True)
class Sealing:
    """How it goes: keys of Redis that were looked at, and values that were sealed."""

    seen: int = 0
    sealed: int = 0


def _tell_nobody(_sealing: Sealing) -> None:
    """Nothing."""


async def seal_everything(
    store: RedisStore, *, tell: Callable[[Sealing], None] = _tell_nobody
) -> Sealing:
    """Seal every plain value of every user.

    Args:
        store: its keyring has a master key.
        tell: told after each key of Redis how it goes.

    Raises:
        ConfigurationError: there are no master keys.
        SealedError: the data key of a user does not open; those before are sealed.
    """
    if store.keyring.masters is None:
        raise ConfigurationError("There are no keys: set STRATA_ENCRYPTION_KEYS.")
    sealing = Sealing()
    async for name in scan_keys(store, keys.EVERY_KEY):
        user, rest = keys.parse_user(name), name.partition("}:")[2]
        async for values in _read(store, name, rest):
            plain = [(at, value) for at, value in values if value and _is_plain(rest, at, value)]
            if plain:
                sealing.sealed += await _seal(store, user, rest, plain)
        sealing.seen += 1
        tell(sealing)
    return sealing


async def _seal(store: RedisStore, user: User, rest: str, plain: _Values) -> int:
    sort, counted = _sort(rest), int(rest.partition(":")[0] in _COUNTED)

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [sort, rest, counted]
        for field, value in plain:
            values += (field, value, _sealed(cipher, rest, field, value))
        return values

    return await store.keyring.write(user, _RESEAL, arguments)


async def _read(store: RedisStore, name: str, rest: str) -> AsyncIterator[_Values]:
    """The values of a key that are to be sealed, with their fields or indexes, by pages."""
    call, commands = store.connection.call, store.connection.commands
    match _sort(rest):
        case "list":
            start = 0
            while True:
                found: list[bytes] = await call(commands.lrange(name, start, start + _PAGE - 1))
                yield list(enumerate(found, start))
                start += len(found)
                if len(found) < _PAGE:
                    return
        case "hash" | "topics":
            fields: list[str] = [*SEALED_FIELDS]
            if not rest.startswith("session:"):
                fields = [one.decode() for one in await call(commands.hkeys(name))]
            for start in range(0, len(fields), _PAGE):
                page = fields[start : start + _PAGE]
                yield list(zip(page, await call(commands.hmget(name, page)), strict=True))
        case "string":
            yield [("", await call(commands.get(name)) or b"")]
        case _:
            return


def _sort(rest: str) -> str:
    """How a key holds what is sealed; empty if it holds none."""
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
        return not _MASK.fullmatch(str(field))
    return not is_sealed(without_revision(value) if rest in _PREFIXED else value)


def _sealed(cipher: Cipher, rest: str, field: str | int, value: bytes) -> bytes:
    match _sort(rest):
        case "topics":
            return cipher.mask("topic", str(field))
        case "hash" if rest in _PREFIXED:
            revision, _, packed = value.partition(b" ")
            return revision + b" " + cipher.seal(f"{rest}:{field}", packed)
        case "string":
            return cipher.seal(rest, value)
        case _ if rest.startswith("history:"):
            return cipher.seal(rest, value)
        case _:
            return cipher.seal(f"{rest}:{field}", value)
