"""The page docs/scaling.md, and its picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from onionskin.benchmarks.scaling.constants import Constants
from onionskin.benchmarks.scaling.report import (
    MODEL_SECONDS,
    STRANGERS,
    STRANGERS_WORKERS,
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

A worker keeps nothing that Redis does not have, so workers are added and taken away at will
(`onionskin serve --workers 4`, or as many services as you like before one Redis), and a Redis Cluster
spreads users over its masters: all keys of a user live in one slot, and no turn touches two. A turn
costs a worker and a master some processor time each; it waits for the model without costing
either anything. So:

    turns a second = the lesser of  workers / (processor time of a turn in a worker)
                               and  masters / (processor time of a turn in Redis)

    memory of Redis    = users * (a user + messages of each * a message)
    memory of a worker = messages of the users whom it knows * a message in its index

The first two tables are measured. The others are computed from them, or come from a simulation
(`benchmarks/scaling/simulation.py`: queues, first come, first served); how far that is to be
trusted is what the second table shows.
"""
_NOTES = {
    "What a turn and a message cost": """\
One worker, sixteen clients, users of a hundred messages, a model that answers at once, the built-in
embedder, `appendfsync always`. Bytes and reading are the difference between a long and a short
history. Messages are as long as in the other benchmark: a sentence, and answers of four.""",
    "One worker and two, on this machine": """\
Clients, workers, Redis and the stand-in of a model share the cores of this machine, in the
measurement and in the simulation alike: a second worker brings what the others leave of them.""",
    "Users for a gibibyte": """\
Of Redis, and of a worker's indexes (`ONIONSKIN_VIEW_BYTES`; who has not spoken for longest is
forgotten first, and read again when they come back).""",
    "A cluster": f"""\
Simulated; each process has a core of its own. Answers take {MODEL_SECONDS:g} s, clients wait
{THINK_SECONDS:g} s in the mean before they speak again, and there are so many of them that they ask
for {UTILISATION:.0%} of what is possible. Every worker knows its users.""",
    "More users than a worker can know": f"""\
Simulated: {STRANGERS_WORKERS} workers, {STRANGERS.users:,} users of {STRANGERS.messages:,} messages
each, all of whom speak now and then, and indexes of {(STRANGERS.views_bytes or 0) / 1e9:g} GB a
worker. Let the load balancer send a user to the same worker where it can (by a hash of the session
or of the user's token): it is no condition, since any worker can answer, but each knows its users
then.""",
    "A long history": """\
A search for one user, p50, query by query in turn: the worker's own index, which looks at words,
meaning, dates and neighbours, beside Chroma in the same process, which looks at vectors alone. With
a database behind the vector layer ([`ONIONSKIN_VECTOR_STORE`](langchain.md)) a worker that meets a
user has nothing to read. The own index is faster as long as histories are read within a second or
so; a user with more than that, on workers that forget them, is what a database is for. Redis 8's
vector sets were not measured: the embedded server is Valkey, which has none.""",
}


def write(found: Findings, sections: Sequence[Section], root: Path) -> None:
    """Write the page and the picture below `root`.

    Args:
        found: what was measured.
        sections: its tables.
        root: of the project.

    Raises:
        ImportError: matplotlib is not installed.
    """
    page = [_HEAD.format(hardware=found.hardware)]
    for title, heads, rows in sections:
        page.append(f"## {title}\n\n{_NOTES[title]}\n\n{markdown(heads, rows)}\n")
        if title == "A cluster":
            page.append(f"![Turns a second by workers and masters]({_PICTURE})\n")
    _draw(found.constants, root / "docs" / _PICTURE)
    (root / "docs" / "scaling.md").write_text("\n".join(page), encoding="utf-8")


def _draw(costs: Constants, file: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - heavy

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "onionskin"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = cast("tuple[Any, Any]", plt.subplots(figsize=(8.0, 4.5), layout="constrained"))
    workers = range(1, _MOST_WORKERS + 1)
    for masters in _MASTERS:
        most = [most_per_second(costs, one, masters) for one in workers]
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
