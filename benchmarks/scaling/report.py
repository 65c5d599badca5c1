"""Tables of the measured costs, and of clusters computed and simulated with them."""

import math
from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from onionskin.benchmarks.scaling.constants import Constants
from onionskin.benchmarks.scaling.large import Searched
from onionskin.benchmarks.scaling.simulation import Cluster, Served, simulate
from onionskin.benchmarks.turn.report import Row

MODEL_SECONDS, THINK_SECONDS, UTILISATION = 1.5, 10.0, 0.75
"""Simulated clusters: latency of the model, mean pause of a client between turns, and load as a
share of the largest throughput."""

MANY_USERS, MANY_USERS_WORKERS = Cluster(users=4_000, messages=1_000, views_bytes=1e9), 4
"""A cluster with more users than fit into the indexes of a worker by ONIONSKIN_VIEW_BYTES."""

_CLIENTS, _SECONDS, _LONG_SECONDS = 16, 20.0, 300.0
_CLUSTERS = ((1, 1), (2, 1), (4, 1), (8, 1), (8, 2), (16, 2), (16, 4))
_GIB = 1 << 30
_HISTORIES = (100, 1_000, 10_000)


class Findings(msgspec.Struct):
    """The findings of a run, with the machine."""

    hardware: str
    constants: Constants
    searched: list[Searched]

    def as_json(self) -> bytes:
        """The findings as JSON."""
        data = msgspec.to_builtins(self, str_keys=True)
        return msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n"


Section = tuple[str, Row, list[Row]]


def tables(findings: Findings) -> list[Section]:
    """All tables: title, column heads and rows."""
    costs = findings.constants
    served = ("workers", "masters", "most turns/s", "clients", "turns/s", "p50 ms", "p99 ms")
    checked = ("workers", "measured, turns/s", "simulated, turns/s", "measured / simulated")
    large = ("messages", "own index, ms", "Chroma, ms", "first turn in a worker, s")
    many_users = (
        "a user's turns go to",
        "turns that build an index",
        "turns/s",
        "p50 ms",
        "p99 ms",
    )
    return [
        ("What a turn and a message cost", ("", "measured"), _constants(costs)),
        ("One worker and two, on this machine", checked, list(_checked(costs))),
        ("Users for a gibibyte", ("messages of each", "in Redis", "in a worker"), _users(costs)),
        ("A cluster", served, [_cluster(costs, *sizes) for sizes in _CLUSTERS]),
        ("More users than a worker's indexes hold", many_users, list(_many_users(costs))),
        ("A long history", large, _large(findings.searched, costs)),
    ]


def show(sections: Sequence[Section], console: Console) -> None:
    """Print the tables."""
    for title, heads, rows in sections:
        table = Table(title=title, title_justify="left")
        for place, head in enumerate(heads):
            table.add_column(head, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def most_per_second(costs: Constants, workers: int, masters: int) -> float:
    """The turns per second at which the workers or the masters are saturated."""
    return min(workers / costs.worker_seconds, masters / costs.redis_seconds)


def _constants(costs: Constants) -> list[Row]:
    return [
        ("worker, a turn", f"{costs.worker_seconds * 1e3:.2f} ms of a core"),
        ("Redis, a turn", f"{costs.redis_seconds * 1e3:.2f} ms of a core"),
        ("clients, a turn", f"{costs.client_seconds * 1e3:.2f} ms of a core"),
        ("the simulated model server, a turn", f"{costs.model_seconds * 1e3:.2f} ms"),
        ("Redis, a user of one turn", f"{costs.user_bytes:,.0f} bytes"),
        ("Redis, a message", f"{costs.redis_bytes:,.0f} bytes"),
        ("a worker's index, a message", f"{costs.view_bytes:,.0f} bytes"),
        ("building a worker's index, a message", f"{costs.cold_seconds * 1e6:.0f} µs, once"),
    ]


def _checked(costs: Constants) -> Iterator[Row]:
    for workers, measured in costs.turns_per_second.items():
        cluster = Cluster(workers=workers, clients=_CLIENTS, cores=costs.cores, users=_CLIENTS)
        served = simulate(cluster, costs, seconds=_SECONDS).turns_per_second
        yield str(workers), f"{measured:.0f}", f"{served:.0f}", f"{measured / served:.2f}"


def _users(costs: Constants) -> list[Row]:
    return [
        (
            f"{messages:,}",
            f"{_GIB / (costs.user_bytes + messages * costs.redis_bytes):,.0f}",
            f"{_GIB / (messages * costs.view_bytes):,.0f}",
        )
        for messages in _HISTORIES
    ]


def _cluster(costs: Constants, workers: int, masters: int) -> Row:
    most = most_per_second(costs, workers, masters)
    cluster = Cluster(
        workers=workers,
        masters=masters,
        clients=math.floor(UTILISATION * most * (MODEL_SECONDS + THINK_SECONDS)),
        model_seconds=MODEL_SECONDS,
        think_seconds=THINK_SECONDS,
        users=100_000,
    )
    served = simulate(cluster, costs, seconds=_SECONDS)
    figures = _figures(served)
    return str(workers), str(masters), f"{most:,.0f}", f"{cluster.clients:,}", *figures


def _many_users(costs: Constants) -> Iterator[Row]:
    for sticky, name in ((False, "any worker"), (True, "the same worker")):
        cluster = Cluster(
            workers=MANY_USERS_WORKERS,
            clients=round(MANY_USERS_WORKERS * 10 * (MODEL_SECONDS + THINK_SECONDS)),
            model_seconds=MODEL_SECONDS,
            think_seconds=THINK_SECONDS,
            users=MANY_USERS.users,
            messages=MANY_USERS.messages,
            views_bytes=MANY_USERS.views_bytes,
            sticky=sticky,
        )
        served = simulate(cluster, costs, seconds=_LONG_SECONDS)
        yield name, f"{served.cold:.0%}", *_figures(served)


def _figures(served: Served) -> Row:
    return f"{served.turns_per_second:,.0f}", f"{served.p50_ms:,.0f}", f"{served.p99_ms:,.0f}"


def _large(searched: Sequence[Searched], costs: Constants) -> list[Row]:
    return [
        (
            f"{search.messages:,}",
            f"{search.own_ms:.2f}",
            f"{search.database_ms:.2f}",
            f"{search.messages * costs.cold_seconds:.2f}",
        )
        for search in searched
    ]
