"""What a turn and a message cost on this machine: the constants that the model of scaling uses."""

import os
import resource
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onionskin.benchmarks.scaling.crew import Crew, open_crews
from onionskin.benchmarks.turn.client import Client
from onionskin.benchmarks.turn.histories import sentence, sentences
from onionskin.benchmarks.turn.load import Load, Loads, load

_APART = 100_000
_WARM_TURNS = 20

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        clients: how many speak at once, each for a user of its own.
        user_turns: turns that each user had before.
        rounds: stretches of each crew, interleaved.
        seconds: how long a stretch is.
        short: turns of the short history.
        long: turns of the long one.
    """

    clients: int = 16
    user_turns: int = 50
    rounds: int = 4
    seconds: int = 3
    short: int = 1_000
    long: int = 5_000


class Constants(msgspec.Struct, frozen=True):
    """Of one machine and one run. CPU times are seconds of one core.

    Attributes:
        worker_seconds: a turn's, in the worker.
        redis_seconds: a turn's, in Redis.
        model_seconds: a turn's, in the server that simulates a provider.
        client_seconds: a turn's, in the clients.
        redis_bytes: of a message, with its vector.
        view_bytes: of a message, in a worker that knows its user.
        user_bytes: of a user, in Redis, with a session of one turn.
        cold_seconds: a message's, when a worker meets its user for the first time.
        turns_per_second: measured, by how many workers.
        cores: of the machine.
    """

    worker_seconds: float
    redis_seconds: float
    model_seconds: float
    client_seconds: float
    redis_bytes: float
    view_bytes: float
    user_bytes: float
    cold_seconds: float
    turns_per_second: dict[int, float]
    cores: int


class _Used(msgspec.Struct):
    """Processor seconds of a stretch."""

    worker: float = 0.0
    redis: float = 0.0
    model: float = 0.0
    client: float = 0.0


def measure(folder: Path, effort: Effort, tell: Tell) -> Constants:
    """Measure them, with one and with two workers side by side.

    Args:
        folder: for the data and logs of servers.
        effort: how much.
        tell: told what is going on.

    Raises:
        ConfigurationError: wrk is missing, or a server does not start.
    """
    texts = folder / "sentences.txt"
    texts.write_text("\n".join(sentences(500, seed=5)))
    with open_crews(folder, (1, 2)) as crews:
        sizes = _sizes(crews[1], effort, tell)
        loads, used = _throughput(crews, effort, texts, tell)
    turns = loads[1].turns
    return Constants(
        worker_seconds=used.worker / turns,
        redis_seconds=used.redis / turns,
        model_seconds=used.model / turns,
        client_seconds=used.client / turns,
        turns_per_second={workers: one.per_second for workers, one in loads.items()},
        cores=os.cpu_count() or 1,
        **sizes,
    )


def _throughput(
    crews: dict[int, Crew], effort: Effort, texts: Path, tell: Tell
) -> tuple[dict[int, Loads], _Used]:
    """Stretches of each crew, interleaved; and what those of the one worker used."""
    loads, used = {workers: Loads() for workers in crews}, _Used()
    for workers, crew in crews.items():
        for number in range(effort.clients):
            crew.fill(f"l{number}", effort.user_turns)
        _load(crew, effort, texts, 0)
        tell(f"{workers} workers are warm")
    for number in range(1, effort.rounds + 1):
        for workers, crew in crews.items():
            tell(f"round {number} of {effort.rounds}: {workers} workers")
            with _counting(crew, used if workers == 1 else _Used()):
                loads[workers].loads.append(_load(crew, effort, texts, number))
    return loads, used


def _load(crew: Crew, effort: Effort, texts: Path, number: int) -> Load:
    return load(
        crew.url,
        clients=effort.clients,
        seconds=effort.seconds,
        name="l",
        turn=number * _APART,
        rest="",
        texts=texts,
    )


@contextmanager
def _counting(crew: Crew, used: _Used) -> Generator[None]:
    before, clients = crew.cpu(), _children_seconds()
    yield
    after = crew.cpu()
    used.worker += after.workers - before.workers
    used.redis += after.redis - before.redis
    used.model += after.model - before.model
    used.client += _children_seconds() - clients


def _children_seconds() -> float:
    """What processes took that were started and ended, such as wrk."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _sizes(crew: Crew, effort: Effort, tell: Tell) -> dict[str, float]:
    """Bytes and seconds of a message: the difference between a long and a short history."""
    tell("users of one turn")
    before = crew.redis_bytes()
    for number in range(_WARM_TURNS):
        crew.fill(f"o{number}", 1)
    user_bytes = (crew.redis_bytes() - before) / _WARM_TURNS
    found: list[tuple[float, float, float]] = []
    for turns in (effort.short, effort.long):
        tell(f"a user of {turns:,} turns")
        redis, resident = crew.redis_bytes(), crew.resident_bytes()
        crew.fill(f"s{turns}", turns)
        in_redis = crew.redis_bytes() - redis
        cold = _cold_seconds(crew, f"s{turns}")
        found.append((in_redis, crew.resident_bytes() - resident, cold))
    messages = 2 * (effort.long - effort.short)
    redis_bytes, view_bytes, cold_seconds = (
        (long - short) / messages for short, long in zip(*found, strict=True)
    )
    return {
        "user_bytes": user_bytes,
        "redis_bytes": redis_bytes,
        "view_bytes": view_bytes,
        "cold_seconds": cold_seconds,
    }


def _cold_seconds(crew: Crew, user: str) -> float:
    """By how much the first turn of a user takes longer than the next ones."""
    with Client(crew.url, "") as client:
        first = client.turn(user, sentence(1))
        began = time.perf_counter()
        for number in range(_WARM_TURNS):
            client.turn(user, sentence(number))
        return first - (time.perf_counter() - began) / _WARM_TURNS
