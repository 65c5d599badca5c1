"""Which master keys a Redis was encrypted with: told at the start, not by the first user who fails.

Of each master key in use a check is kept, derived from the key; it says nothing of the key.
"""

import contextlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from memory.errors import ConfigurationError, StoreUnavailableError
from memory.store import keys
from memory.store.connection import Connection
from memory.store.keyring import Keyring
from memory.store.master_keys import MasterKeys

_CHECK_BYTES = 16


async def open_keyring(
    connection: Connection, masters: MasterKeys | None, *, plaintext: bool = True
) -> Keyring:
    """The keyring for some master keys, after a look at what is stored.

    While Redis is away nothing can be told: a key that is wrong then shows by each of its users.

    Raises:
        ConfigurationError: a master key is missing, or is another one than that of its id.
    """
    with contextlib.suppress(StoreUnavailableError):
        in_use = await _check(connection, masters)
        if masters and masters.newest not in in_use:
            check = _derived(masters.newest, masters.keys[masters.newest])
            made = connection.commands.hsetnx(keys.MASTER_CHECKS, masters.newest, check)
            await connection.call(made)
            await _check(connection, masters)  # another worker may have been faster
    return Keyring(connection, masters, plaintext=plaintext)


async def forget_master_key(connection: Connection, key_id: str) -> bool:
    """Take a master key for lost: what it wraps stays shut; whether it was in use."""
    return bool(await connection.call(connection.commands.hdel(keys.MASTER_CHECKS, key_id)))


async def keep_checks(connection: Connection, key_id: str) -> list[str]:
    """Forget all master keys but one, once nothing is wrapped by them; which ones."""
    checks = await connection.call(connection.commands.hgetall(keys.MASTER_CHECKS))
    left = [found for one in checks if (found := one.decode()) != key_id]
    for one in left:
        await forget_master_key(connection, one)
    return left


async def _check(connection: Connection, masters: MasterKeys | None) -> set[str]:
    """The ids of the master keys in use, all of which are configured, as they were."""
    checks = await connection.call(connection.commands.hgetall(keys.MASTER_CHECKS))
    for found, stored in checks.items():
        key_id = found.decode()
        if masters is None:
            raise ConfigurationError(
                "What is stored is encrypted: set STRATA_ENCRYPTION_KEYS, with master key "
                f"{key_id!r}."
            )
        if key_id not in masters.keys:
            raise ConfigurationError(
                f"Users' data are sealed under master key {key_id!r}, which is not among "
                "STRATA_ENCRYPTION_KEYS. Add it, then `strata encryption rotate` to do without; "
                "if it is lost, `strata encryption forget` it."
            )
        if stored != _derived(key_id, masters.keys[key_id]):
            raise ConfigurationError(
                f"Master key {key_id!r} of STRATA_ENCRYPTION_KEYS is another one than that which "
                "this Redis was encrypted with. Give that one, or a new one under a new id."
            )
    return {found.decode() for found in checks}


def _derived(key_id: str, secret: bytes) -> bytes:
    purpose = f"strata master key check\n{key_id}".encode()
    return HKDFExpand(SHA256(), _CHECK_BYTES, purpose).derive(secret)
