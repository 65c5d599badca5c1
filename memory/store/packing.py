"""Values as scripts take them: packed, and sealed for where they will stand."""

from collections.abc import Sequence

from memory.store.codec import pack_message, pack_vector
from memory.store.decode import SEALED_FIELDS
from memory.store.keyring import Argument
from memory.store.sealing import Cipher
from memory.types import Message, Vector


def sealed_messages(
    cipher: Cipher,
    session_id: str,
    first: int,
    messages: Sequence[tuple[Message, Vector | None]],
    *,
    embedder_tag: str,
) -> list[bytes]:
    """Message, vector, message, vector ...: a vector that is not there yet is empty.

    Args:
        cipher: seals them.
        session_id: where they go.
        first: the position of the first one.
        messages: each with its `(dim,)` vector if it has one.
        embedder_tag: of what made the vectors.
    """
    values: list[bytes] = []
    for position, (message, vector) in enumerate(messages, first):
        place = f"{session_id}:{position}"
        values.append(cipher.seal(f"messages:{place}", pack_message(message)))
        values.append(sealed_vector(cipher, place, vector, embedder_tag))
    return values


def sealed_vector(cipher: Cipher, owner: str, vector: Vector | None, embedder_tag: str) -> bytes:
    """The `(dim,)` vector of a message or a record, by its id; empty for none."""
    if vector is None:
        return b""
    return cipher.seal(f"vectors:{owner}", pack_vector(embedder_tag, vector))


def sealed_field(cipher: Cipher, session_id: str, name: str, value: Argument) -> Argument:
    """A field of a session's hash; only those are sealed that hold what was said."""
    if name not in SEALED_FIELDS or isinstance(value, int | float):
        return value
    return cipher.seal(f"session:{session_id}:{name}", value)
