"""How what is due is packed: JSON that names users and sessions, and nothing that was said."""

import hashlib
from typing import Any, cast

import msgspec

from memory.due import Due, EmbedDue, ExtractDue, FoldDue, SpendDue, UseDue
from memory.errors import CorruptValueError
from memory.types import User

_KINDS: dict[str, type[Due]] = {
    "fold": FoldDue,
    "embed": EmbedDue,
    "use": UseDue,
    "spend": SpendDue,
    "extract": ExtractDue,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def kind_of(due: Due) -> str:
    """What sort of job it is: `fold`, `embed`, ..."""
    return _NAMES[type(due)]


def pack_due(due: Due) -> bytes:
    """The same bytes for what is the same; how long it is to wait is not among them."""
    fields = cast("dict[str, Any]", msgspec.to_builtins(due))
    fields.pop("quiet", None)
    return _encode({"kind": kind_of(due), **fields})


def unpack_due(data: bytes) -> Due:
    """What `pack_due` packed.

    Raises:
        CorruptValueError: it is of no kind that this version knows.
    """
    try:
        fields = _decode(data)
        return msgspec.convert(fields, _KINDS[fields.pop("kind")])
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        raise CorruptValueError(
            f"Something due does not decode: {error}. Upgrade Strata."
        ) from error


def mark_of(user: User) -> bytes:
    """What stands in all that is due for a user, and in nothing that is due for another."""
    return b'"user":' + _encode(msgspec.to_builtins(user))


def digest_of(due: Due) -> str:
    """A short id of what is due, for people: the same for what is the same."""
    return hashlib.blake2b(pack_due(due), digest_size=6).hexdigest()
