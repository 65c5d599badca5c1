"""What users and tenants have used of a model, day by day (UTC)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from memory.store import keys
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.types import User

_USAGE = Script("usage")
_KEPT_SECONDS, _ONCE_SECONDS = 3 * 24 * 3600, 2 * 3600


@dataclass(frozen=True, slots=True)
class Used:
    """So many calls and tokens of one day."""

    calls: int
    tokens: int


async def add_usage(
    store: RedisStore, user: User, *, now: float, calls: int, tokens: int, once: str = ""
) -> tuple[Used, Used]:
    """Add to a day's usage, perhaps nothing; what the user and the tenant have used by then.

    What is added under a name, `once`, is added only once within two hours.
    """
    return (
        await _added(store, keys.usage(user, _day(now)), calls, tokens, once),
        await _added(store, keys.tenant_usage(user.tenant, _day(now)), calls, tokens, once),
    )


async def _added(store: RedisStore, key: str, calls: int, tokens: int, once: str) -> Used:
    args = (calls, tokens, _KEPT_SECONDS, once, _ONCE_SECONDS)
    found = await store.connection.run(_USAGE, key, *args)
    return Used(int(found[0]), int(found[1]))


def _day(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
