"""What a Redis tells of itself, judged: does it keep what it is given, and does its clock agree."""

from memory.store.inspecting import RedisFacts
from service.finding import Finding

_MOST_SKEW_SECONDS = 5.0
_MOST_ROUND_TRIP_SECONDS = 0.05
_FULL = 0.9


def judge_redis(facts: RedisFacts, *, embedded: bool) -> list[Finding]:
    """Findings on one server that takes writes."""
    told = f"{facts.version}, {facts.used_bytes / 2**20:.0f} MiB used"
    told += f", {facts.round_trip * 1000:.1f} ms a round trip"
    found = [_of_durability(facts, f"{told}, embedded" if embedded else told)]
    if facts.evicts:
        found.append(
            Finding(
                "redis",
                "fail",
                f"When full it drops memories (maxmemory-policy {facts.evicts}).",
                "Set maxmemory-policy to noeviction: Strata then says 503 and loses nothing.",
            )
        )
    if facts.most_bytes and facts.used_bytes > _FULL * facts.most_bytes:
        found.append(
            Finding(
                "redis",
                "warn",
                f"It is {facts.used_bytes / facts.most_bytes:.0%} full.",
                "Raise maxmemory, set STRATA_RETAIN_SESSIONS, or shard over a cluster.",
            )
        )
    if facts.round_trip > _MOST_ROUND_TRIP_SECONDS:
        found.append(
            Finding(
                "redis",
                "warn",
                f"A round trip takes {facts.round_trip * 1000:.0f} ms; a turn takes two.",
                "Put Strata beside its Redis: one region, one network.",
            )
        )
    found.append(_of_the_clock(facts))
    return found


def _of_durability(facts: RedisFacts, told: str) -> Finding:
    if not facts.appends:
        return Finding(
            "redis",
            "warn",
            f"{told}, no append-only file",
            "A restart of Redis may lose what was acknowledged: set appendonly yes and "
            "appendfsync always (or everysec, which may lose a second).",
        )
    if facts.fsync in ("always", ""):
        return Finding("redis", "ok", f"{told}, append-only file {facts.fsync}".rstrip())
    return Finding(
        "redis",
        "warn",
        f"{told}, append-only file {facts.fsync}",
        "A power loss may cost the last moments: appendfsync always keeps all that was "
        "acknowledged.",
    )


def _of_the_clock(facts: RedisFacts) -> Finding:
    if abs(facts.ahead) <= _MOST_SKEW_SECONDS:
        return Finding("clock", "ok", f"Redis's agrees to {abs(facts.ahead) * 1000:.0f} ms")
    which = "ahead of" if facts.ahead > 0 else "behind"
    return Finding(
        "clock",
        "warn",
        f"Redis's clock is {abs(facts.ahead):.0f} s {which} this machine's.",
        "Let both follow NTP: times of memories and of rate limits go wrong.",
    )
