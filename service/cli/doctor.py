"""`onionskin doctor`: looks at all that a service stands on, and says what to do.

What a look at a part of the service found.

What a Redis tells of itself, judged: does it keep what it is given, and does its clock agree.

What a service stands on, looked at piece by piece: each look tells what it found.
"""

import asyncio
import os
import platform
import shutil
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from onionskin.chains.models.factory import open_model
from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.errors import ConfigurationError, OnionskinError
from onionskin.memory.profiles import load_privacy_policies, load_profiles
from onionskin.memory.retrieval.embedders.providers import open_embedder
from onionskin.memory.retrieval.ranking.ranker import is_compiled
from onionskin.memory.store import Connection
from onionskin.memory.store.encryption.keyring import open_keyring
from onionskin.memory.store.redis.diagnostics import RedisFacts, inspect_redis
from onionskin.service.auth.authenticators import open_authenticator
from onionskin.service.console import say, say_json
from onionskin.service.factories import (
    attach_redis,
    embedder_options,
    master_keys,
    model_options,
    open_text_pipeline,
    retention_of,
)
from onionskin.service.settings import Settings, load_settings
from onionskin.service.settings_sources import misspelt

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, how it stands, and what to do.

    Attributes:
        name: of the part, such as `redis`.
        state: `warn` runs, but not as well as it should; with `fail` a service does not start, or
            loses what it is told.
        advice: what to do; '' where nothing is to be done.
    """

    name: str
    state: State
    message: str
    advice: str = ""


_MOST_SKEW_SECONDS = 5.0
_MOST_ROUND_TRIP_SECONDS = 0.05
_FULL = 0.9


def check_redis(facts: RedisFacts, *, embedded: bool) -> list[Finding]:
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
                "Set maxmemory-policy to noeviction: Onionskin then says 503 and loses nothing.",
            )
        )
    if facts.most_bytes and facts.used_bytes > _FULL * facts.most_bytes:
        found.append(
            Finding(
                "redis",
                "warn",
                f"It is {facts.used_bytes / facts.most_bytes:.0%} full.",
                "Raise maxmemory, set ONIONSKIN_RETAIN_SESSIONS, or shard over a cluster.",
            )
        )
    if facts.round_trip > _MOST_ROUND_TRIP_SECONDS:
        found.append(
            Finding(
                "redis",
                "warn",
                f"A round trip takes {facts.round_trip * 1000:.0f} ms; a turn takes two.",
                "Put Onionskin beside its Redis: one region, one network.",
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


_LEAST_FREE_BYTES = 1 << 30
_PROBE = "A short text."


async def diagnose(*, ask_model: bool) -> AsyncGenerator[Finding]:
    """Look at Python, settings, disk, Redis, keys, embedder, recall and model, one by one."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    try:
        settings = load_settings()
        profiles = load_profiles(settings.profiles)
        _check_default(settings.profile, profiles)
        load_privacy_policies(settings.profiles, profiles, settings.redact)
        retention_of(settings, time.time)
        open_text_pipeline(settings.language)
    except OnionskinError as error:
        yield Finding("settings", "fail", str(error), "`onionskin config show` lists what is set.")
        return
    yield Finding("settings", "ok", f"{len(profiles)} profiles, by default {settings.profile!r}")
    for name, like in misspelt(os.environ, Settings.model_fields).items():
        advice = f"Did you mean {like}?" if like else "It is not read."
        yield Finding("settings", "warn", f"{name} is no setting.", advice)
    if settings.redis_url is None:
        yield _disk(settings.data_dir)
    for finding in await _redis(settings):
        yield finding
    yield await _embedder(settings)
    yield recall_finding(compiled=is_compiled())
    yield await _model(settings, ask=ask_model)


def _disk(data_dir: Path) -> Finding:
    """Room for the embedded Redis."""
    place = data_dir.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        advice = "Name another directory with ONIONSKIN_DATA_DIR."
        return Finding("disk", "fail", f"{str(place)!r} cannot be written.", advice)
    free = shutil.disk_usage(place).free
    told = f"{free / 2**30:.0f} GiB free for {str(data_dir)!r}"
    if free < _LEAST_FREE_BYTES:
        return Finding("disk", "warn", told, "Make room, or set ONIONSKIN_DATA_DIR.")
    return Finding("disk", "ok", told)


async def _redis(settings: Settings) -> list[Finding]:
    try:
        async with attach_redis(settings) as url:
            connection = Connection(url, timeout=settings.redis_timeout)
            try:
                servers = await inspect_redis(connection)
                embedded = settings.redis_url is None
                found = [one for facts in servers for one in check_redis(facts, embedded=embedded)]
                return [*found, await _keys(settings, connection)]
            finally:
                await connection.aclose()
    except OnionskinError as error:
        named = "ONIONSKIN_REDIS_URL" if settings.redis_url else "ONIONSKIN_DATA_DIR"
        return [Finding("redis", "fail", str(error), f"See {named} in `onionskin config show`.")]


async def _keys(settings: Settings, connection: Connection) -> Finding:
    """Who may ask, and with which keys what is stored is sealed."""
    try:
        open_authenticator(settings, connection)
        masters = master_keys(settings)
        await open_keyring(connection, masters)
    except OnionskinError as error:
        return Finding("keys", "fail", str(error), "See `onionskin encryption --help`.")
    sealed = "sealed at rest" if masters else "not encrypted at rest"
    told = f"ONIONSKIN_AUTH={settings.auth}, what is stored is {sealed}"
    if settings.auth == "off":
        advice = (
            "Fine on this machine alone; `onionskin keys create` and ONIONSKIN_AUTH=keys elsewhere."
        )
        return Finding("keys", "ok", told, advice)
    return Finding("keys", "ok", told)


async def _embedder(settings: Settings) -> Finding:
    began = time.perf_counter()
    try:
        async with open_embedder(settings.embedder, embedder_options(settings)) as embedder:
            began = time.perf_counter()
            vectors = await embedder.embed([_PROBE])
    except OnionskinError as error:
        advice = "Turns go on with words alone until it is back; `static` needs nothing."
        return Finding("embedder", "fail", str(error), advice)
    took = (time.perf_counter() - began) * 1000
    told = f"{embedder.tag}, {vectors.shape[1]} dimensions, {took:.1f} ms a text"
    return Finding("embedder", "ok", told)


def recall_finding(*, compiled: bool) -> Finding:
    """How what is remembered is ranked."""
    if compiled:
        return Finding("recall", "ok", "ranks in compiled code")
    advice = "Install a C compiler and Python's headers, then install Onionskin again."
    return Finding("recall", "warn", "ranks with NumPy alone: as well, but slower.", advice)


async def _model(settings: Settings, *, ask: bool) -> Finding:
    options = model_options(settings)
    began = time.perf_counter()
    try:
        async with open_model(options) as model:
            if isinstance(model, OfflineChatModel):
                advice = "Set OPENAI_API_KEY or ONIONSKIN_MODEL for real answers."
                return Finding("model", "ok", "the offline model: it quotes", advice)
            name = settings.model or settings.model_base_url or "OpenAI's"
            if not ask:
                return Finding("model", "ok", f"{name}, not asked")
            began = time.perf_counter()
            async with asyncio.timeout(options.timeout.total_seconds()):
                await model.ainvoke("Answer with the word yes.")
    except OnionskinError as error:
        return Finding("model", "fail", str(error))
    except Exception as error:  # noqa: BLE001 - each provider has errors of its own
        advice = "Check its name, its address, the key and the account's quota."
        return Finding("model", "fail", f"It did not answer: {type(error).__name__}.", advice)
    return Finding("model", "ok", f"{name} answered in {time.perf_counter() - began:.1f} s")


def _check_default(name: str, profiles: Collection[str]) -> None:
    if name not in profiles:
        raise ConfigurationError(
            f"ONIONSKIN_PROFILE {name!r} is none of the profiles: {', '.join(sorted(profiles))}."
        )


_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def run_doctor(*, as_json: bool, ask_model: bool) -> bool:
    """Print what was found, each as it is; whether a service could run."""
    return asyncio.run(_show(diagnose(ask_model=ask_model), as_json=as_json))


async def _show(findings: AsyncGenerator[Finding], *, as_json: bool) -> bool:
    found = list[Finding]()
    async with aclosing(findings):
        async for finding in findings:
            found.append(finding)
            if not as_json:
                _say(finding)
    fine = all(finding.state != "fail" for finding in found)
    if as_json:
        say_json({"ok": fine, "findings": [asdict(finding) for finding in found]})
    return fine


def _say(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.state]
    say(sign, style=colour, end=" ")
    say(f"{finding.name:9}", style="bold", end=" ")
    say(finding.message)
    if finding.advice:
        say(f"            {finding.advice}", style="dim")
