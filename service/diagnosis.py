"""What a service stands on, looked at piece by piece: each look tells what it found."""

import asyncio
import os
import platform
import shutil
import time
from collections.abc import AsyncGenerator, Collection
from pathlib import Path

from chains.models import open_model
from chains.offline import OfflineChatModel
from memory.errors import ConfigurationError, StrataError
from memory.profiles import load_discretions, load_profiles
from memory.recall.compiled import is_compiled
from memory.recall.embedder import open_embedder
from memory.store import Connection
from memory.store.encryption import open_keyring
from memory.store.inspecting import inspect_redis
from service.auth.opening import open_authenticator
from service.choices import (
    embedder_options,
    master_keys,
    model_options,
    retention_of,
    tongue_of,
)
from service.finding import Finding
from service.joining import redis_beside
from service.loading import load_settings
from service.redis_findings import judge_redis
from service.settings import Settings
from service.sources import misspelt

_LEAST_FREE_BYTES = 1 << 30
_PROBE = "A short text."


async def diagnose(*, ask_model: bool) -> AsyncGenerator[Finding]:
    """Look at Python, settings, disk, Redis, keys, embedder, recall and model, one by one."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    try:
        settings = load_settings()
        profiles = load_profiles(settings.profiles)
        _check_default(settings.profile, profiles)
        load_discretions(settings.profiles, profiles, settings.redact)
        retention_of(settings, time.time)
        tongue_of(settings.language)
    except StrataError as error:
        yield Finding("settings", "fail", str(error), "`strata config show` lists what is set.")
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
        advice = "Name another directory with STRATA_DATA_DIR."
        return Finding("disk", "fail", f"{str(place)!r} cannot be written.", advice)
    free = shutil.disk_usage(place).free
    told = f"{free / 2**30:.0f} GiB free for {str(data_dir)!r}"
    if free < _LEAST_FREE_BYTES:
        return Finding("disk", "warn", told, "Make room, or set STRATA_DATA_DIR.")
    return Finding("disk", "ok", told)


async def _redis(settings: Settings) -> list[Finding]:
    try:
        async with redis_beside(settings) as url:
            connection = Connection(url, timeout=settings.redis_timeout)
            try:
                servers = await inspect_redis(connection)
                embedded = settings.redis_url is None
                found = [one for facts in servers for one in judge_redis(facts, embedded=embedded)]
                return [*found, await _keys(settings, connection)]
            finally:
                await connection.aclose()
    except StrataError as error:
        named = "STRATA_REDIS_URL" if settings.redis_url else "STRATA_DATA_DIR"
        return [Finding("redis", "fail", str(error), f"See {named} in `strata config show`.")]


async def _keys(settings: Settings, connection: Connection) -> Finding:
    """Who may ask, and with which keys what is stored is sealed."""
    try:
        open_authenticator(settings, connection)
        masters = master_keys(settings)
        await open_keyring(connection, masters)
    except StrataError as error:
        return Finding("keys", "fail", str(error), "See `strata encryption --help`.")
    sealed = "sealed at rest" if masters else "not encrypted at rest"
    told = f"STRATA_AUTH={settings.auth}, what is stored is {sealed}"
    if settings.auth == "off":
        advice = "Fine on this machine alone; `strata keys create` and STRATA_AUTH=keys elsewhere."
        return Finding("keys", "ok", told, advice)
    return Finding("keys", "ok", told)


async def _embedder(settings: Settings) -> Finding:
    began = time.perf_counter()
    try:
        async with open_embedder(settings.embedder, embedder_options(settings)) as embedder:
            began = time.perf_counter()
            vectors = await embedder.embed([_PROBE])
    except StrataError as error:
        advice = "Turns go on with words alone until it is back; `static` needs nothing."
        return Finding("embedder", "fail", str(error), advice)
    took = (time.perf_counter() - began) * 1000
    told = f"{embedder.tag}, {vectors.shape[1]} dimensions, {took:.1f} ms a text"
    return Finding("embedder", "ok", told)


def recall_finding(*, compiled: bool) -> Finding:
    """How what is remembered is ranked."""
    if compiled:
        return Finding("recall", "ok", "ranks in compiled code")
    advice = "Install a C compiler and Python's headers, then install Strata again."
    return Finding("recall", "warn", "ranks with NumPy alone: as well, but slower.", advice)


async def _model(settings: Settings, *, ask: bool) -> Finding:
    options = model_options(settings)
    began = time.perf_counter()
    try:
        async with open_model(options) as model:
            if isinstance(model, OfflineChatModel):
                advice = "Set OPENAI_API_KEY or STRATA_MODEL for real answers."
                return Finding("model", "ok", "the offline model: it quotes", advice)
            name = settings.model or settings.model_base_url or "OpenAI's"
            if not ask:
                return Finding("model", "ok", f"{name}, not asked")
            began = time.perf_counter()
            async with asyncio.timeout(options.timeout.total_seconds()):
                await model.ainvoke("Answer with the word yes.")
    except StrataError as error:
        return Finding("model", "fail", str(error))
    except Exception as error:  # noqa: BLE001 - each provider has errors of its own
        advice = "Check its name, its address, the key and the account's quota."
        return Finding("model", "fail", f"It did not answer: {type(error).__name__}.", advice)
    return Finding("model", "ok", f"{name} answered in {time.perf_counter() - began:.1f} s")


def _check_default(name: str, profiles: Collection[str]) -> None:
    if name not in profiles:
        raise ConfigurationError(
            f"STRATA_PROFILE {name!r} is none of the profiles: {', '.join(sorted(profiles))}."
        )
