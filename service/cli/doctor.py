"""`onionskin doctor`: checks every part that a service needs, and says what to do."""

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
from onionskin.memory.context_window import ContextWindow
from onionskin.memory.errors import ConfigurationError, OnionskinError
from onionskin.memory.profiles import load_privacy_policies, load_profiles
from onionskin.memory.retrieval import is_compiled, open_embedder
from onionskin.memory.store import Connection, Keyring, RedisFacts, inspect_redis
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
_LARGEST_SKEW_SECONDS = 5.0
_LONGEST_ROUND_TRIP_SECONDS = 0.05
_FULL = 0.9
_LEAST_FREE_BYTES = 1 << 30
_PROBE = "A short text."
_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check.

    Attributes:
        name: The part that was checked, such as `redis`.
        state: `warn` works, but not as well as it should. With `fail` a service does not start,
            or loses data.
        message: The result.
        advice: What to do; empty if there is nothing to do.
    """

    name: str
    state: State
    message: str
    advice: str = ""


def run_doctor(*, as_json: bool, ask_model: bool) -> bool:
    """Print each finding as soon as it is known; returns whether a service can run."""
    return asyncio.run(_report(diagnose(ask_model=ask_model), as_json=as_json))


async def _report(findings: AsyncGenerator[Finding], *, as_json: bool) -> bool:
    reported = list[Finding]()
    async with aclosing(findings):
        async for finding in findings:
            reported.append(finding)
            if not as_json:
                _say(finding)
    can_run = all(finding.state != "fail" for finding in reported)
    if as_json:
        say_json({"ok": can_run, "findings": [asdict(finding) for finding in reported]})
    return can_run


def _say(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.state]
    say(sign, style=colour, end=" ")
    say(f"{finding.name:9}", style="bold", end=" ")
    say(finding.message)
    if finding.advice:
        say(f"            {finding.advice}", style="dim")


async def diagnose(*, ask_model: bool) -> AsyncGenerator[Finding]:
    """Check Python, settings, disk, Redis, keys, embedder, recall and model, in this order.

    Args:
        ask_model: Whether to call the model.
    """
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    try:
        settings = load_settings()
        profiles = load_profiles(settings.profiles, ContextWindow(settings.model_context))
        _check_default_profile(settings.profile, profiles)
        load_privacy_policies(settings.profiles, profiles, settings.redact)
        retention_of(settings, time.time)
        open_text_pipeline(settings.language)
    except OnionskinError as error:
        advice = "`onionskin config show` lists all settings."
        yield Finding("settings", "fail", str(error), advice)
        return
    yield Finding("settings", "ok", f"{len(profiles)} profiles, default {settings.profile!r}")
    for name, similar in misspelt(os.environ, Settings.model_fields).items():
        advice = f"Did you mean {similar}?" if similar else "It has no effect."
        yield Finding("settings", "warn", f"{name} is not a setting.", advice)
    if settings.redis_url is None:
        yield _check_disk(settings.data_dir)
    for finding in await _check_redis_and_keys(settings):
        yield finding
    yield await _check_embedder(settings)
    yield check_recall(compiled=is_compiled())
    yield await _check_model(settings, ask=ask_model)


def _check_default_profile(name: str, profiles: Collection[str]) -> None:
    if name not in profiles:
        raise ConfigurationError(
            f"ONIONSKIN_PROFILE {name!r} is not one of the profiles: {', '.join(sorted(profiles))}."
        )


def _check_disk(data_dir: Path) -> Finding:
    """Check the directory of the embedded Redis."""
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        advice = "Set ONIONSKIN_DATA_DIR to another directory."
        return Finding("disk", "fail", f"{str(folder)!r} is not writable.", advice)
    free = shutil.disk_usage(folder).free
    message = f"{free / 2**30:.0f} GiB free for {str(data_dir)!r}"
    if free < _LEAST_FREE_BYTES:
        return Finding("disk", "warn", message, "Free some space, or set ONIONSKIN_DATA_DIR.")
    return Finding("disk", "ok", message)


async def _check_redis_and_keys(settings: Settings) -> list[Finding]:
    try:
        async with attach_redis(settings) as url:
            connection = Connection(url, timeout=settings.redis_timeout)
            try:
                servers = await inspect_redis(connection)
                embedded = settings.redis_url is None
                findings = [
                    finding
                    for facts in servers
                    for finding in check_redis(facts, embedded=embedded)
                ]
                return [*findings, await _check_keys(settings, connection)]
            finally:
                await connection.aclose()
    except OnionskinError as error:
        setting = "ONIONSKIN_REDIS_URL" if settings.redis_url else "ONIONSKIN_DATA_DIR"
        return [Finding("redis", "fail", str(error), f"See {setting} in `onionskin config show`.")]


def check_redis(facts: RedisFacts, *, embedded: bool) -> list[Finding]:
    """Check durability, memory, latency and clock of one primary server.

    Args:
        facts: Facts about the server.
        embedded: Whether it is the embedded Redis.
    """
    message = f"{facts.version}, {facts.used_bytes / 2**20:.0f} MiB used"
    message += f", {facts.round_trip * 1000:.1f} ms per round trip"
    findings = [_check_durability(facts, f"{message}, embedded" if embedded else message)]
    if facts.evicts:
        findings.append(
            Finding(
                "redis",
                "fail",
                f"It evicts data when it is full (maxmemory-policy {facts.evicts}).",
                "Set maxmemory-policy to noeviction: Onionskin then answers 503 and loses nothing.",
            )
        )
    if facts.max_bytes and facts.used_bytes > _FULL * facts.max_bytes:
        findings.append(
            Finding(
                "redis",
                "warn",
                f"It is {facts.used_bytes / facts.max_bytes:.0%} full.",
                "Raise maxmemory, set ONIONSKIN_RETAIN_SESSIONS, or use a Redis cluster.",
            )
        )
    if facts.round_trip > _LONGEST_ROUND_TRIP_SECONDS:
        findings.append(
            Finding(
                "redis",
                "warn",
                f"A round trip takes {facts.round_trip * 1000:.0f} ms; a turn takes two.",
                "Run Onionskin and Redis in the same region and network.",
            )
        )
    findings.append(_check_clock(facts))
    return findings


def _check_durability(facts: RedisFacts, message: str) -> Finding:
    if not facts.appends:
        return Finding(
            "redis",
            "warn",
            f"{message}, no append-only file",
            "A restart of Redis may lose acknowledged writes: set appendonly yes and "
            "appendfsync always (or everysec, which may lose one second).",
        )
    if facts.fsync in ("always", ""):
        return Finding("redis", "ok", f"{message}, append-only file {facts.fsync}".rstrip())
    return Finding(
        "redis",
        "warn",
        f"{message}, append-only file {facts.fsync}",
        "A power failure may lose the latest writes: appendfsync always keeps every "
        "acknowledged write.",
    )


def _check_clock(facts: RedisFacts) -> Finding:
    if abs(facts.ahead) <= _LARGEST_SKEW_SECONDS:
        return Finding("clock", "ok", f"agrees with Redis's to {abs(facts.ahead) * 1000:.0f} ms")
    relation = "ahead of" if facts.ahead > 0 else "behind"
    return Finding(
        "clock",
        "warn",
        f"Redis's clock is {abs(facts.ahead):.0f} s {relation} this machine's.",
        "Synchronize both with NTP: otherwise memories and rate limits have wrong times.",
    )


async def _check_keys(settings: Settings, connection: Connection) -> Finding:
    """Check authentication and encryption at rest."""
    try:
        open_authenticator(settings, connection)
        masters = master_keys(settings)
        await Keyring.open(connection, masters)
    except OnionskinError as error:
        return Finding("keys", "fail", str(error), "See `onionskin encryption --help`.")
    encryption = "encrypted at rest" if masters else "not encrypted at rest"
    message = f"ONIONSKIN_AUTH={settings.auth}, data are {encryption}"
    if settings.auth == "off":
        advice = (
            "Safe on this machine only; elsewhere use `onionskin keys create` and "
            "ONIONSKIN_AUTH=keys."
        )
        return Finding("keys", "ok", message, advice)
    return Finding("keys", "ok", message)


async def _check_embedder(settings: Settings) -> Finding:
    try:
        async with open_embedder(settings.embedder, embedder_options(settings)) as embedder:
            start = time.perf_counter()
            vectors = await embedder.embed([_PROBE])
            milliseconds = (time.perf_counter() - start) * 1000
    except OnionskinError as error:
        advice = "Until it is back, only words are searched; `static` needs no server."
        return Finding("embedder", "fail", str(error), advice)
    message = f"{embedder.tag}, {vectors.shape[1]} dimensions, {milliseconds:.1f} ms per text"
    return Finding("embedder", "ok", message)


def check_recall(*, compiled: bool) -> Finding:
    """Check whether ranking runs in compiled code."""
    if compiled:
        return Finding("recall", "ok", "ranks in compiled code")
    advice = "Install a C compiler and Python's headers, then reinstall Onionskin."
    return Finding("recall", "warn", "ranks with NumPy: the same results, but slower.", advice)


async def _check_model(settings: Settings, *, ask: bool) -> Finding:
    options = model_options(settings)
    try:
        async with open_model(options) as model:
            if isinstance(model, OfflineChatModel):
                advice = "Set OPENAI_API_KEY or ONIONSKIN_MODEL for real answers."
                return Finding("model", "ok", "the offline model, which quotes memory", advice)
            name = settings.model or settings.model_base_url or "OpenAI's"
            if not ask:
                return Finding("model", "ok", f"{name}, not asked")
            start = time.perf_counter()
            async with asyncio.timeout(options.timeout.total_seconds()):
                await model.ainvoke("Answer with the word yes.")
            seconds = time.perf_counter() - start
    except OnionskinError as error:
        return Finding("model", "fail", str(error))
    except Exception as error:  # noqa: BLE001 - each provider raises its own errors
        advice = "Check its name, its address, the API key and the account's quota."
        return Finding("model", "fail", f"It did not answer: {type(error).__name__}.", advice)
    return Finding("model", "ok", f"{name} answered in {seconds:.1f} s")
