"""What users and tenants have used of a model, day by day (UTC)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from memory.store import keys
from memory.store.connection import Script
from memory.store.redis import RedisStore
from memory.types import User

_USAGE = Script("usage")
_KEPT_SECONDS = 3 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Used:
    """So many calls and tokens of one day."""

    calls: int
    tokens: int


async def add_usage(
    store: RedisStore, user: User, *, now: float, calls: int, tokens: int
) -> tuple[Used, Used]:
    """Add to a day's usage, perhaps nothing; what the user and the tenant have used by then."""
    return (
        await _added(store, keys.usage(user, _day(now)), calls, tokens),
        await _added(store, keys.tenant_usage(user.tenant, _day(now)), calls, tokens),
    )


async def _added(store: RedisStore, key: str, calls: int, tokens: int) -> Used:
    found = await store.connection.run(_USAGE, key, calls, tokens, _KEPT_SECONDS)
    return Used(int(found[0]), int(found[1]))


def _day(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
