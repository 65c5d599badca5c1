"""Writes the page docs/scaling.md and its plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from onionskin.benchmarks.scaling.constants import Constants
from onionskin.benchmarks.scaling.report import (
    MANY_USERS,
    MANY_USERS_WORKERS,
    MODEL_SECONDS,
    THINK_SECONDS,
    UTILISATION,
    Findings,
    Section,
    most_per_second,
)
from onionskin.benchmarks.turn.report import markdown

_PICTURE = "images/scaling.svg"
_MASTERS, _MOST_WORKERS = (1, 2, 4), 32
_HEAD = """\
# How it scales

Written by `onionskin bench scaling --write-docs`, which needs wrk, the extra `bench` and
`langchain-chroma`, on: {hardware}.

All state of a worker is also in Redis, so workers can be added and removed at any time:
`onionskin serve --workers 4`, or several services with one Redis. A Redis Cluster spreads users
over its masters: all keys of a user are in one slot, and each turn uses one slot. A turn takes
processor time of a worker and of a master; while it waits for the model, it takes none. So:

    turns a second = the smaller of  workers / (processor time of a turn in a worker)
                                and  masters / (processor time of a turn in Redis)

    memory of Redis    = users * (a user + messages of each * a message)
    memory of a worker = messages of its indexed users * a message in its index

The first two tables are measured. The others are computed from them, or simulated as queues
(`benchmarks/scaling/simulation.py`). The second table compares the simulation with a measurement.
"""
_NOTES = {
    "What a turn and a message cost": """\
One worker, sixteen clients, users with a hundred messages, a model without latency, the built-in
embedder, `appendfsync always`. Costs per message are the difference between a long and a short
history. A message is a sentence, and an answer is four sentences, as in the other benchmark.""",
    "One worker and two, on this machine": """\
Clients, workers, Redis and the model server share the cores of this machine, in the measurement
and in the simulation. So a second worker gets only the processor time that the others leave.""",
    "Users for a gibibyte": """\
A gibibyte of Redis, and of a worker's indexes (`ONIONSKIN_VIEW_BYTES`). The least recently used
index is evicted first, and built again for the user's next turn.""",
    "A cluster": f"""\
Simulated; each process has a core of its own. Answers take {MODEL_SECONDS:g} s, clients wait
{THINK_SECONDS:g} s in the mean before they speak again, and there are so many of them that they use
{UTILISATION:.0%} of the largest throughput. Every worker has indexed its users.""",
    "More users than a worker's indexes hold": f"""\
Simulated: {MANY_USERS_WORKERS} workers, {MANY_USERS.users:,} users of {MANY_USERS.messages:,}
messages each, all of them active, and indexes of {(MANY_USERS.views_bytes or 0) / 1e9:g} GB a
worker. If possible, let the load balancer send a user to the same worker, by a hash of the session
or of the user's token. Any worker can answer, but then each has indexed its users.""",
    "A long history": """\
The p50 of a search for one user: in the worker's index, which ranks by words, vectors, dates and
neighbours, and in Chroma in the same process, which ranks by vectors alone. With a vector database
([`ONIONSKIN_VECTOR_STORE`](langchain.md)) a worker builds no index. The index is faster as long as
building it takes about a second; the database is for users with longer histories, on workers that
evict their indexes. Redis 8's vector sets are not measured: the embedded server is Valkey, which
has none.""",
}


def write(findings: Findings, sections: Sequence[Section], root: Path) -> None:
    """Write the page and the plot below `root`.

    Args:
        findings: The findings of a run.
        sections: Its tables.
        root: Folder of the project.

    Raises:
        ImportError: Matplotlib is not installed.
    """
    page = [_HEAD.format(hardware=findings.hardware)]
    for title, heads, rows in sections:
        page.append(f"## {title}\n\n{_NOTES[title]}\n\n{markdown(heads, rows)}\n")
        if title == "A cluster":
            page.append(f"![Turns a second by workers and masters]({_PICTURE})\n")
    _draw(findings.constants, root / "docs" / _PICTURE)
    (root / "docs" / "scaling.md").write_text("\n".join(page), encoding="utf-8")


def _draw(costs: Constants, file: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - heavy

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "onionskin"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = cast("tuple[Any, Any]", plt.subplots(figsize=(8.0, 4.5), layout="constrained"))
    workers = range(1, _MOST_WORKERS + 1)
    for masters in _MASTERS:
        most = [most_per_second(costs, count, masters) for count in workers]
        axes.plot(workers, most, label=f"{masters} masters" if masters > 1 else "one Redis")
    measured = costs.turns_per_second
    axes.plot(list(measured), list(measured.values()), "kx", label="measured here")
    axes.set_xlabel("workers")
    axes.set_ylabel("most turns a second")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right upper")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
