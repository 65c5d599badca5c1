"""Copying a session whose values are bound to where they stand: opened, and sealed anew.

Transcripts only grow, so what was read page by page is what stands there in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from memory.errors import UnknownSessionError
from memory.store import keys
from memory.store.keyring import Argument
from memory.store.packing import sealed_field
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.store.sealing import Cipher
from memory.store.taking_stock import session_fields
from memory.types import User

_COPY = Script("weigh", "copy", lasts=True)
_PAGE = 1000
_CARRIED = ("title", "follows", "metadata")
_FOLD = ("folded_upto", "summarized_upto", "summary", "extract")


@dataclass(frozen=True, slots=True)
class Original:
    """The beginning of a session, opened: its fields, and messages with vectors (or None)."""

    session_id: str
    fields: dict[str, bytes]
    said: list[tuple[bytes, bytes | None]]


async def read_original(
    store: RedisStore, user: User, session_id: str, upto: int | None
) -> Original:
    """Read what is to be copied: `messages[:upto]`, all of them for None.

    Raises:
        UnknownSessionError: the user has no such session.
    """
    fields = await session_fields(store, user, session_id)
    if not fields:
        raise UnknownSessionError(session_id)
    length = int(fields["length"])
    count = length if upto is None else min(upto, length)
    commands, call = store.connection.commands, store.connection.call
    said: list[tuple[bytes, bytes | None]] = []
    for start in range(0, count, _PAGE):
        last = min(start + _PAGE, count) - 1
        ids = [f"{session_id}:{position}" for position in range(start, last + 1)]
        packed = await call(commands.lrange(keys.messages(user, session_id), start, last))
        vectors = await call(commands.hmget(keys.vectors(user), ids))
        cipher = await store.keyring.cipher(user, [*packed, *vectors])
        if len(packed) < len(ids):
            raise UnknownSessionError(session_id)  # deleted meanwhile
        for one, data, vector in zip(ids, packed, vectors, strict=True):
            opened = vector and cipher.open(f"vectors:{one}", vector)
            said.append((cipher.open(f"messages:{one}", data), opened))
    return Original(session_id, fields, said)


async def copy_sealed(
    store: RedisStore, user: User, original: Original, copy: str, *, now: float, profile: str
) -> None:
    """Store a copy; the fold goes with it unless it reaches beyond what is copied.

    Raises:
        UnknownSessionError: the original was deleted meanwhile.
    """
    fields = _fields(original, now=now, profile=profile)

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [original.session_id, copy, now, store.log_length, len(fields)]
        for name, value in fields.items():
            values += (name, sealed_field(cipher, copy, name, value))
        for position, (data, vector) in enumerate(original.said):
            place = f"{copy}:{position}"
            values.append(cipher.seal(f"messages:{place}", data))
            values.append(cipher.seal(f"vectors:{place}", vector or b""))
        return values

    if await store.keyring.write(user, _COPY, arguments) < 0:
        raise UnknownSessionError(original.session_id)


def _fields(original: Original, *, now: float, profile: str) -> dict[str, Argument]:
    found, count = original.fields, len(original.said)
    folded = int(found["folded_upto"]) <= count
    return {
        "created": now,
        "active": now,
        "closed": "0",
        "profile": profile or found["profile"],
        "extracted_upto": count,
        **{name: found.get(name, b"") for name in _CARRIED},
        **{
            name: found[name] if folded else (0 if name.endswith("upto") else b"") for name in _FOLD
        },
    }
