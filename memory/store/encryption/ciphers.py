"""Ciphers: how a value is encrypted so that it decrypts only where it was stored.

A sealed value is `0xC1`, a version, the name of the data key, a random nonce, and AES-256-GCM of
the value with its tag. No UTF-8 text and no msgpack begins with `0xC1`, so encrypted and plain
values can be stored side by side.
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
    """Encrypts and decrypts the values of a user.

    A place is the name of a key after the user's prefix, then the field or the position:
    `session:s_1:title`, `messages:s_1:7`.
    """

    @property
    def binds(self) -> bool:
        """Whether a value is bound to its place, which must then be known when it is stored."""
        ...

    def encrypt(self, place: str, data: bytes | str) -> bytes:
        """A value as it is stored at a place; an empty value stays empty."""
        ...

    def decrypt(self, place: str, data: bytes) -> bytes:
        """The value that is stored at a place.

        Raises:
            EncryptedValueError: It is encrypted under a key that is not available.
            CorruptValueError: It was changed, or belongs to another place.
        """
        ...

    def decrypt_all(
        self, places: Iterable[str], values: Sequence[bytes | None]
    ) -> Sequence[bytes | None]:
        """The values that are stored at some places; None stays None."""
        ...

    def blind_index(self, purpose: str, text: str) -> bytes:
        """A stand-in for a text that is only compared; an empty text stays empty."""
        ...


class PlainCipher:
    """Stores values unencrypted.

    Args:
        missing: The error message for an encrypted value.
    """

    binds = False

    def __init__(self, missing: str) -> None:
        self._missing = missing

    def encrypt(self, place: str, data: bytes | str) -> bytes:
        """The value itself."""
        del place
        return data.encode() if isinstance(data, str) else data

    def decrypt(self, place: str, data: bytes) -> bytes:
        """The value itself, unless it is encrypted."""
        del place
        if data.startswith(MARK):
            raise EncryptedValueError(self._missing)
        return data

    def decrypt_all(
        self, places: Iterable[str], values: Sequence[bytes | None]
    ) -> Sequence[bytes | None]:
        """The values themselves; only the first is checked, unpacking fails on the others."""
        del places
        if values and values[0] and values[0].startswith(MARK):
            raise EncryptedValueError(self._missing)
        return values

    def blind_index(self, purpose: str, text: str) -> bytes:
        """The text itself."""
        del purpose
        return text.encode()


class UserCipher:
    """AES-256-GCM under a user's data key, bound to the user and the place.

    Nonces are random: after 2^32 values of one user, the chance that two are equal is 2^-33
    (NIST SP 800-38D, 8.3).

    Args:
        owner: The user's prefix.
        key: The user's data key.
        plaintext: Whether values that were stored before encryption was enabled are readable.
    """

    binds = True

    def __init__(self, owner: str, key: DataKey, *, plaintext: bool = True) -> None:
        self.name = key.name
        self._owner, self._plaintext = owner.encode(), plaintext
        self._header = MARK + bytes.fromhex(key.name)
        self._aes = AESGCM(key.secret)
        self._index_key = HKDFExpand(SHA256(), KEY_BYTES, b"onionskin mask").derive(key.secret)

    def encrypt(self, place: str, data: bytes | str) -> bytes:
        """A value as it is stored at a place; an empty value stays empty."""
        if not data:
            return b""
        packed = data.encode() if isinstance(data, str) else data
        nonce = secrets.token_bytes(NONCE_BYTES)
        return self._header + nonce + self._aes.encrypt(nonce, packed, self._bound(place))

    def decrypt(self, place: str, data: bytes) -> bytes:
        """The value that is stored at a place."""
        if not data.startswith(self._header):
            return self._plain(place, data)
        nonce = data[_NAME_END:_NONCE_END]
        try:
            return self._aes.decrypt(nonce, data[_NONCE_END:], self._bound(place))
        except (InvalidTag, ValueError) as error:
            raise CorruptValueError(
                f"The value stored at {place!r} was changed, or belongs to another place: it "
                "cannot be decrypted."
            ) from error

    def decrypt_all(
        self, places: Iterable[str], values: Sequence[bytes | None]
    ) -> Sequence[bytes | None]:
        """The values that are stored at some places; None stays None."""
        return [
            data and self.decrypt(place, data) for place, data in zip(places, values, strict=True)
        ]

    def blind_index(self, purpose: str, text: str) -> bytes:
        """HMAC-SHA256 of a text under a key that is derived from the user's, in hexadecimal."""
        if not text:
            return b""
        whole = f"{purpose}\n{text}".encode()
        return hmac.digest(self._index_key, whole, "sha256").hex().encode()

    def _bound(self, place: str) -> bytes:
        return self._header + self._owner + place.encode()

    def _plain(self, place: str, data: bytes) -> bytes:
        if is_encrypted(data):
            raise EncryptedValueError(
                "A value of this user is encrypted under a data key that no longer exists: the "
                "user was erased, or the key was lost."
            )
        if data and not self._plaintext:
            raise CorruptValueError(f"The value stored at {place!r} is not encrypted.")
        return data


def is_encrypted(data: bytes) -> bool:
    """Whether a value is encrypted, under any key."""
    return data.startswith(MARK)


def key_name(data: bytes) -> str:
    """The name of the data key that a value is encrypted under; empty for a plain value."""
    return data[len(MARK) : _NAME_END].hex() if is_encrypted(data) else ""
