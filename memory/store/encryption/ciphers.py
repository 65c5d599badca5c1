"""Sealing: how a value is encrypted where it lies, and opened there and nowhere else.

A sealed value is `0xC1`, a version, the name of the data key, a random nonce, and AES-256-GCM of
the value with its tag. No UTF-8 text and no msgpack begins with `0xC1`, so that sealed values and
plain ones can stand side by side.
"""

import hmac
import secrets
from collections.abc import Iterable, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from onionskin.memory.errors import CorruptValueError, EncryptedValueError
from onionskin.memory.store.encryption.master_keys import (
    KEY_BYTES,
    NAME_LENGTH,
    NONCE_BYTES,
    DataKey,
)

MARK = b"\xc1\x01"
_NAME_END = len(MARK) + NAME_LENGTH // 2
_NONCE_END = _NAME_END + NONCE_BYTES


class Cipher(Protocol):
    """How a user's values are stored.

    A place is what stands behind the user's prefix in the name of a key, and then the field or the
    position: `session:s_1:title`, `messages:s_1:7`.
    """

    @property
    def binds(self) -> bool:
        """Whether a value is bound to its place, so that this must be known when it is stored."""
        ...

    def seal(self, place: str, data: bytes | str) -> bytes:
        """A value as it is stored at a place; what is empty stays so."""
        ...

    def open(self, place: str, data: bytes) -> bytes:
        """The value that is stored at a place.

        Raises:
            SealedError: it is sealed under a key that is not at hand.
            CorruptValueError: it was changed, or belongs elsewhere.
        """
        ...

    def open_all(
        self, places: Iterable[str], values: Sequence[bytes | None]
    ) -> Sequence[bytes | None]:
        """The values that are stored at some places; None stays."""
        ...

    def blind_index(self, purpose: str, text: str) -> bytes:
        """What stands for a text that is only ever compared; what is empty stays so."""
        ...


class PlainCipher:
    """Values as they are.

    Args:
        missing: what to say of a sealed value.
    """

    binds = False

    def __init__(self, missing: str) -> None:
        self._missing = missing

    def seal(self, place: str, data: bytes | str) -> bytes:
        """The value itself."""
        del place
        return data.encode() if isinstance(data, str) else data

    def open(self, place: str, data: bytes) -> bytes:
        """The value itself, unless it is sealed."""
        del place
        if is_sealed(data):
            raise EncryptedValueError(self._missing)
        return data

    def open_all(
        self, places: Iterable[str], values: Sequence[bytes | None]
    ) -> Sequence[bytes | None]:
        """The values themselves; they are looked at when they are decoded."""
        del places
        if values and values[0] and is_sealed(values[0]):
            raise EncryptedValueError(self._missing)
        return values

    def blind_index(self, purpose: str, text: str) -> bytes:
        """The text itself."""
        del purpose
        return text.encode()


class UserCipher:
    """AES-256-GCM under a user's data key, bound to the user and the place.

    Nonces are random: after 2^32 values of one user, two were drawn alike with a chance of 2^-33
    (NIST SP 800-38D, 8.3).

    Args:
        owner: the user's prefix.
        key: the user's data key.
        plaintext: whether values that were stored before anything was sealed are read.
    """

    binds = True

    def __init__(self, owner: str, key: DataKey, *, plaintext: bool = True) -> None:
        self.name = key.name
        self._owner, self._plaintext = owner.encode(), plaintext
        self._header = MARK + bytes.fromhex(key.name)
        self._aes = AESGCM(key.secret)
        self._masking = HKDFExpand(SHA256(), KEY_BYTES, b"onionskin mask").derive(key.secret)

    def seal(self, place: str, data: bytes | str) -> bytes:
        """A value as it is stored at a place; what is empty stays so."""
        if not data:
            return b""
        packed = data.encode() if isinstance(data, str) else data
        nonce = secrets.token_bytes(NONCE_BYTES)
        return self._header + nonce + self._aes.encrypt(nonce, packed, self._bound(place))

    def open(self, place: str, data: bytes) -> bytes:
        """The value that is stored at a place."""
        if not data.startswith(self._header):
            return self._other(place, data)
        nonce = data[_NAME_END:_NONCE_END]
        try:
            return self._aes.decrypt(nonce, data[_NONCE_END:], self._bound(place))
        except (InvalidTag, ValueError) as error:
            raise CorruptValueError(
                f"What is stored at {place!r} was changed, or belongs elsewhere: it does not open."
            ) from error

    def open_all(
        self, places: Iterable[str], values: Sequence[bytes | None]
    ) -> Sequence[bytes | None]:
        """The values that are stored at some places; None stays."""
        return [data and self.open(place, data) for place, data in zip(places, values, strict=True)]

    def blind_index(self, purpose: str, text: str) -> bytes:
        """HMAC-SHA256 of a text under a key that is derived from the user's, in hexadecimal."""
        if not text:
            return b""
        whole = f"{purpose}\n{text}".encode()
        return hmac.digest(self._masking, whole, "sha256").hex().encode()

    def _bound(self, place: str) -> bytes:
        return self._header + self._owner + place.encode()

    def _other(self, place: str, data: bytes) -> bytes:
        if is_sealed(data):
            raise EncryptedValueError(
                "A value of this user is sealed under a data key that is no more: the user was "
                "erased meanwhile, or the key was lost."
            )
        if data and not self._plaintext:
            raise CorruptValueError(f"What is stored at {place!r} is not sealed.")
        return data


def is_sealed(data: bytes) -> bool:
    """Whether a value is sealed, under whatever key."""
    return data.startswith(MARK)


def key_name(data: bytes) -> str:
    """The name of the data key that a value is sealed under; empty for a plain one."""
    return data[len(MARK) : _NAME_END].hex() if is_sealed(data) else ""
