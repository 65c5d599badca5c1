"""Master keys: they wrap the data keys of users, and are stored outside of Redis."""

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
"""Number of hexadecimal digits in the name of a data key, which precedes each stored value."""
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PURPOSE = "onionskin data key"
_HINT = "Use `id:key` with a key of 32 bytes in base64; `onionskin encryption key` makes one."


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key that encrypts a user's values: 32 bytes, named by 16 hexadecimal digits."""

    name: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "DataKey":
        """A random key with a random name."""
        return cls(secrets.token_hex(NAME_LENGTH // 2), secrets.token_bytes(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The configured master keys by id; the first one wraps data keys, all of them unwrap."""

    keys: dict[str, bytes] = field(repr=False)

    @property
    def newest(self) -> str:
        """The id of the master key that wraps data keys."""
        return next(iter(self.keys))

    def wrap(self, owner: str, key: DataKey) -> bytes:
        """The stored form of a data key: its name, the id of the master key, and the wrapped key.

        Args:
            owner: The prefix of the user who owns the key; it unwraps for no other user.
            key: The data key.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound = _bound(owner, key.name, self.newest)
        wrapped = AESGCM(self.keys[self.newest]).encrypt(nonce, key.secret, bound)
        return f"{key.name} {self.newest} ".encode() + nonce + wrapped

    def unwrap(self, owner: str, stored: bytes) -> DataKey:
        """The data key of `wrap`.

        Raises:
            EncryptedValueError: Its master key is not configured or differs, or the stored data
                key was changed.
        """
        name, master = names_of(stored)
        if master not in self.keys:
            raise EncryptedValueError(
                f"This user's data are encrypted under master key {master!r}, which is not among "
                "ONIONSKIN_ENCRYPTION_KEYS. Configure it again."
            )
        wrapped = stored.split(b" ", 2)[2]
        nonce, rest = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            secret = AESGCM(self.keys[master]).decrypt(nonce, rest, _bound(owner, name, master))
        except (InvalidTag, ValueError) as error:
            raise EncryptedValueError(
                f"This user's data key cannot be unwrapped by master key {master!r}: another key "
                "has that id in ONIONSKIN_ENCRYPTION_KEYS, or the stored data key was changed."
            ) from error
        return DataKey(name, secret)


def names_of(stored: bytes) -> tuple[str, str]:
    """The name of a stored data key, and the id of the master key that wraps it.

    Raises:
        EncryptedValueError: It is no data key.
    """
    parts = stored.split(b" ", 2)
    try:
        name, master, _ = (*map(bytes.decode, parts[:2]), parts[2])
    except (UnicodeDecodeError, ValueError, IndexError) as error:
        raise EncryptedValueError("The stored data key of this user is invalid.") from error
    return name, master


def read_master_keys(text: str) -> MasterKeys:
    """Master keys from `id:base64` texts, separated by commas, spaces or newlines.

    Raises:
        ConfigurationError: An id or a key is invalid or repeated; the message shows no key.
    """
    masters: dict[str, bytes] = {}
    for number, part in enumerate(re.split(r"[\s,]+", text.strip()), 1):
        key_id, _, encoded = part.partition(":")
        if not _ID.fullmatch(key_id):
            raise ConfigurationError(f"Encryption key {number} has no valid id. {_HINT}")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != KEY_BYTES:
            raise ConfigurationError(
                f"Encryption key {key_id!r} is not 32 bytes in base64. {_HINT}"
            )
        if key_id in masters or secret in masters.values():
            raise ConfigurationError(f"Encryption key {key_id!r} is repeated.")
        masters[key_id] = secret
    return MasterKeys(masters)


def configured_master_keys(keys: str | None, file: Path | None) -> MasterKeys | None:
    """The master keys of the settings; None without encryption.

    Raises:
        ConfigurationError: They cannot be read, or are invalid.
    """
    if keys and file:
        raise ConfigurationError(
            "Both ONIONSKIN_ENCRYPTION_KEYS and ONIONSKIN_ENCRYPTION_KEYS_FILE are set: unset one."
        )
    if file:
        try:
            keys = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"ONIONSKIN_ENCRYPTION_KEYS_FILE {str(file)!r} cannot be read."
            ) from error
        if not keys.strip():
            raise ConfigurationError(
                f"ONIONSKIN_ENCRYPTION_KEYS_FILE {str(file)!r} contains no key."
            )
    return read_master_keys(keys) if keys else None


def generate_master_key(key_id: str) -> str:
    """A new master key, as `id:base64`.

    Raises:
        ConfigurationError: The id is invalid.
    """
    text = f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
    read_master_keys(text)
    return text


def _bound(owner: str, name: str, master: str) -> bytes:
    parts: Sequence[str] = (_PURPOSE, owner, name, master)
    return "\n".join(parts).encode()
