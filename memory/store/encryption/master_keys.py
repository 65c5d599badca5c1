"""Master keys: each wraps the data keys of users, and lies outside of Redis."""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from onionskin.memory.errors import ConfigurationError, EncryptedValueError

KEY_BYTES = 32
NONCE_BYTES = 12
NAME_LENGTH = 16
"""A data key's name: so many hexadecimal digits, in front of it wherever it is stored."""
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PURPOSE = "onionskin data key"
_WANTED = "Give `id:key`, the key 32 bytes in base64, as `onionskin encryption key` makes them."


@dataclass(frozen=True, slots=True)
class DataKey:
    """What a user's values are sealed under: 32 bytes, named by 16 hexadecimal digits."""

    name: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "DataKey":
        """A new one."""
        return cls(secrets.token_hex(NAME_LENGTH // 2), secrets.token_bytes(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The configured master keys by id, in order: the first one wraps, all of them unwrap."""

    keys: dict[str, bytes] = field(repr=False)

    @property
    def newest(self) -> str:
        """The id of the one that wraps."""
        return next(iter(self.keys))

    def wrap(self, owner: str, key: DataKey) -> bytes:
        """A data key as it is stored: name, id of the master key, and what is sealed under it.

        Args:
            owner: the prefix of the user whose key it is; it unwraps for no other.
            key: the data key.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound = _bound(owner, key.name, self.newest)
        sealed = AESGCM(self.keys[self.newest]).encrypt(nonce, key.secret, bound)
        return f"{key.name} {self.newest} ".encode() + nonce + sealed

    def unwrap(self, owner: str, stored: bytes) -> DataKey:
        """The data key of `wrap`.

        Raises:
            SealedError: its master key is not configured, is another one, or it was changed.
        """
        name, master = names_of(stored)
        if master not in self.keys:
            raise EncryptedValueError(
                f"This user's data are sealed under master key {master!r}, which is not among "
                "ONIONSKIN_ENCRYPTION_KEYS. Configure it again."
            )
        sealed = stored.split(b" ", 2)[2]
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            secret = AESGCM(self.keys[master]).decrypt(nonce, rest, _bound(owner, name, master))
        except (InvalidTag, ValueError) as error:
            raise EncryptedValueError(
                f"This user's data key does not open with master key {master!r}: another key bears "
                "that id in ONIONSKIN_ENCRYPTION_KEYS, or what is stored was changed."
            ) from error
        return DataKey(name, secret)


def names_of(stored: bytes) -> tuple[str, str]:
    """The name of a stored data key, and the id of the master key that wraps it.

    Raises:
        SealedError: it is no data key.
    """
    parts = stored.split(b" ", 2)
    try:
        name, master, _ = (*map(bytes.decode, parts[:2]), parts[2])
    except (UnicodeDecodeError, ValueError, IndexError) as error:
        raise EncryptedValueError("What is stored as this user's data key is none.") from error
    return name, master


def read_master_keys(text: str) -> MasterKeys:
    """Master keys from `id:base64`, separated by commas, spaces or ends of lines.

    Raises:
        ConfigurationError: they cannot be used; the message shows no key.
    """
    found: dict[str, bytes] = {}
    for number, part in enumerate(re.split(r"[\s,]+", text.strip()), 1):
        key_id, _, encoded = part.partition(":")
        if not _ID.fullmatch(key_id):
            raise ConfigurationError(f"Encryption key {number} has no usable id. {_WANTED}")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != KEY_BYTES:
            raise ConfigurationError(f"Encryption key {key_id!r} is no key. {_WANTED}")
        if key_id in found or secret in found.values():
            raise ConfigurationError(f"Encryption key {key_id!r} is there twice.")
        found[key_id] = secret
    return MasterKeys(found)


def configured_master_keys(keys: str | None, file: Path | None) -> MasterKeys | None:
    """The master keys of the settings; None where nothing is to be encrypted.

    Raises:
        ConfigurationError: they cannot be read or used.
    """
    if keys and file:
        raise ConfigurationError(
            "Both ONIONSKIN_ENCRYPTION_KEYS and ONIONSKIN_ENCRYPTION_KEYS_FILE are set: leave one out."
        )
    if file:
        try:
            keys = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"ONIONSKIN_ENCRYPTION_KEYS_FILE {str(file)!r} cannot be read."
            ) from error
        if not keys.strip():
            raise ConfigurationError(f"ONIONSKIN_ENCRYPTION_KEYS_FILE {str(file)!r} holds no key.")
    return read_master_keys(keys) if keys else None


def generate_master_key(key_id: str) -> str:
    """A new master key, as `id:base64`.

    Raises:
        ConfigurationError: the id cannot be used.
    """
    made = f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
    read_master_keys(made)
    return made


def _bound(owner: str, name: str, master: str) -> bytes:
    parts: Sequence[str] = (_PURPOSE, owner, name, master)
    return "\n".join(parts).encode()
