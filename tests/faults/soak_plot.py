"""A plot of a soak test: memory, open files and Redis over time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tests.faults.resource_samples import MEGABYTE, Process, Sample, Samples

_SIZE = (9.0, 8.0)


def draw(samples: Samples, out: Path) -> None:
    """Write the plot to a file."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - once the backend is chosen

    drawn: tuple[Any, Any] = plt.subplots(3, 1, figsize=_SIZE, sharex=True, layout="constrained")
    figure, (memory, files, redis) = drawn
    _workers(memory, samples, lambda one: one.rss / MEGABYTE)
    memory.set_ylabel("resident, MB")
    _workers(files, samples, lambda one: one.descriptors)
    files.set_ylabel("open files")
    minutes = [one.seconds / 60 for one in samples.taken]
    redis.plot(minutes, [one.redis / MEGABYTE for one in samples.taken], label="memory, MB")
    redis.plot(minutes, [one.keys / 1000 for one in samples.taken], label="keys, thousands")
    redis.plot(minutes, [one.turns / 1000 for one in samples.taken], label="turns, thousands")
    redis.set_ylabel("Redis")
    redis.set_xlabel("minutes")
    redis.legend(frameon=False)
    for axes in (memory, files, redis):
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=120)
    plt.close(figure)


def _workers(axes: Any, samples: Samples, value: Callable[[Process], float]) -> None:
    """A line for each worker, the one that lives through it all in front."""
    pids = dict.fromkeys(one.pid for sample in samples.taken for one in sample.workers)
    for place, pid in enumerate(pids):
        seen: list[tuple[Sample, Process]] = samples.of(pid)
        axes.plot(
            [sample.seconds / 60 for sample, _ in seen],
            [value(process) for _, process in seen],
            color="tab:blue" if place == 0 else "tab:gray",
            linewidth=2 if place == 0 else 1,
            label={0: "lives through it", 1: "restarted"}.get(place),
        )
    axes.legend(frameon=False)
