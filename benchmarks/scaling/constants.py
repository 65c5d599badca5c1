"""Measures the costs of a turn and a message on this machine, the input of the simulation."""

import os
import resource
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onionskin.benchmarks.scaling.measured_service import MeasuredService, open_services
from onionskin.benchmarks.turn.client import Client
from onionskin.benchmarks.turn.histories import sentence, sentences
from onionskin.benchmarks.turn.load import Load, Loads, load

_APART = 100_000
_WARM_TURNS = 20

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes of the measurement.

    Attributes:
        clients: Number of clients at the same time, each with a user of its own.
        user_turns: Earlier turns of each user.
        rounds: Rounds of load on each service, interleaved.
        seconds: Length of a round.
        short: Turns of the short history.
        long: Turns of the long history.
    """

    clients: int = 16
    user_turns: int = 50
    rounds: int = 4
    seconds: int = 3
    short: int = 1_000
    long: int = 5_000


class Constants(msgspec.Struct, frozen=True):
    """The costs on one machine. CPU times are seconds of one core.

    Attributes:
        worker_seconds: CPU time of a turn in the worker.
        redis_seconds: CPU time of a turn in Redis.
        model_seconds: CPU time of a turn in the server that simulates a provider.
        client_seconds: CPU time of a turn in the clients.
        redis_bytes: Size of a message with its vector in Redis.
        view_bytes: Size of a message in a worker's index.
        user_bytes: Size of a user with a session of one turn in Redis.
        cold_seconds: Time per message to build a user's index in a worker.
        turns_per_second: Measured throughput by number of workers.
        cores: Cores of the machine.
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
    """Processor seconds of all rounds."""

    worker: float = 0.0
    redis: float = 0.0
    model: float = 0.0
    client: float = 0.0


def measure(folder: Path, effort: Effort, on_progress: OnProgress) -> Constants:
    """The costs, measured with one and with two workers.

    Args:
        folder: Folder for data and logs of servers.
        effort: Sizes of the measurement.
        on_progress: Receives a description of each step.

    Raises:
        ConfigurationError: wrk is missing, or a server did not start.
    """
    texts = folder / "sentences.txt"
    texts.write_text("\n".join(sentences(500, seed=5)))
    with open_services(folder, (1, 2)) as services:
        sizes = _sizes(services[1], effort, on_progress)
        loads, used = _throughput(services, effort, texts, on_progress)
    turns = loads[1].turns
    return Constants(
        worker_seconds=used.worker / turns,
        redis_seconds=used.redis / turns,
        model_seconds=used.model / turns,
        client_seconds=used.client / turns,
        turns_per_second={workers: total.per_second for workers, total in loads.items()},
        cores=os.cpu_count() or 1,
        **sizes,
    )


def _throughput(
    services: dict[int, MeasuredService], effort: Effort, texts: Path, on_progress: OnProgress
) -> tuple[dict[int, Loads], _Used]:
    """The loads of each service, and the processor time of the service with one worker."""
    loads, used = {workers: Loads() for workers in services}, _Used()
    for workers, service in services.items():
        for number in range(effort.clients):
            service.fill(f"l{number}", effort.user_turns)
        _load(service, effort, texts, 0)
        on_progress(f"{workers} workers are warm")
    for number in range(1, effort.rounds + 1):
        for workers, service in services.items():
            on_progress(f"round {number} of {effort.rounds}: {workers} workers")
            with _counting(service, used if workers == 1 else _Used()):
                loads[workers].loads.append(_load(service, effort, texts, number))
    return loads, used


def _load(service: MeasuredService, effort: Effort, texts: Path, number: int) -> Load:
    return load(
        service.url,
        clients=effort.clients,
        seconds=effort.seconds,
        name="l",
        turn=number * _APART,
        rest="",
        texts=texts,
    )


@contextmanager
def _counting(service: MeasuredService, used: _Used) -> Generator[None]:
    before, clients = service.cpu(), _children_seconds()
    yield
    after = service.cpu()
    used.worker += after.workers - before.workers
    used.redis += after.redis - before.redis
    used.model += after.model - before.model
    used.client += _children_seconds() - clients


def _children_seconds() -> float:
    """Processor time of ended child processes, such as wrk."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _sizes(service: MeasuredService, effort: Effort, on_progress: OnProgress) -> dict[str, float]:
    """Sizes and times per message, from the difference between a long and a short history."""
    on_progress("users of one turn")
    before = service.redis_bytes()
    for number in range(_WARM_TURNS):
        service.fill(f"o{number}", 1)
    user_bytes = (service.redis_bytes() - before) / _WARM_TURNS
    costs: list[tuple[float, float, float]] = []
    for turns in (effort.short, effort.long):
        on_progress(f"a user of {turns:,} turns")
        redis, resident = service.redis_bytes(), service.resident_bytes()
        service.fill(f"s{turns}", turns)
        in_redis = service.redis_bytes() - redis
        cold = _cold_seconds(service, f"s{turns}")
        costs.append((in_redis, service.resident_bytes() - resident, cold))
    messages = 2 * (effort.long - effort.short)
    redis_bytes, view_bytes, cold_seconds = (
        (long - short) / messages for short, long in zip(*costs, strict=True)
    )
    return {
        "user_bytes": user_bytes,
        "redis_bytes": redis_bytes,
        "view_bytes": view_bytes,
        "cold_seconds": cold_seconds,
    }


def _cold_seconds(service: MeasuredService, user: str) -> float:
    """The additional time of a user's first turn in a worker."""
    with Client(service.url, "") as client:
        first = client.turn(user, sentence(1))
        began = time.perf_counter()
        for number in range(_WARM_TURNS):
            client.turn(user, sentence(number))
        return first - (time.perf_counter() - began) / _WARM_TURNS
