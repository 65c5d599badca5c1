"""`onionskin bench scaling`: the simulation by what must hold, and one small run for real."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from onionskin.benchmarks.scaling.constants import Constants, Effort
from onionskin.benchmarks.scaling.docs import write
from onionskin.benchmarks.scaling.report import most_per_second, show, tables
from onionskin.benchmarks.scaling.run import measure_all
from onionskin.benchmarks.scaling.simulation import Cluster, simulate
from onionskin.memory.errors import ConfigurationError

_COSTS = Constants(
    worker_seconds=0.004,
    redis_seconds=0.0005,
    model_seconds=0.0001,
    client_seconds=0.0001,
    redis_bytes=800,
    view_bytes=1000,
    user_bytes=20_000,
    cold_seconds=0.00005,
    turns_per_second={1: 240.0, 2: 400.0},
    cores=2,
)
_SMALL = Effort(clients=2, user_turns=2, rounds=1, seconds=1, short=5, long=50)
_BUSY = Cluster(clients=64, users=64)


@pytest.mark.parametrize(("workers", "masters"), [(1, 1), (3, 1), (12, 1), (12, 2)])
def test_a_busy_cluster_serves_what_its_narrowest_part_can(workers: int, masters: int) -> None:
    busy = replace(_BUSY, workers=workers, masters=masters, clients=400)
    served = simulate(busy, _COSTS, seconds=20)
    most = most_per_second(_COSTS, workers, masters)
    assert 0.9 * most <= served.turns_per_second <= 1.02 * most


def test_processes_that_share_cores_get_no_more_than_there_are() -> None:
    shared = simulate(replace(_BUSY, workers=4, cores=2), _COSTS, seconds=20)
    a_turn = 0.004 + 0.0005 + 0.0001 + 0.0001
    assert shared.turns_per_second == pytest.approx(2 / a_turn, rel=0.02)


def test_an_idle_cluster_takes_as_long_as_a_turn_does() -> None:
    alone = Cluster(clients=1, users=1, model_seconds=0.3, think_seconds=1.0)
    served = simulate(alone, _COSTS, seconds=500)
    assert served.p50_ms == pytest.approx(304.7, abs=0.1)
    assert served.turns_per_second == pytest.approx(1 / 1.3047, rel=0.15)


def test_users_who_keep_to_their_worker_are_known_there() -> None:
    many = Cluster(workers=4, clients=40, users=400, messages=100, views_bytes=1e7, think_seconds=1)
    anywhere = simulate(many, _COSTS, seconds=200)
    sticky = simulate(replace(many, sticky=True), _COSTS, seconds=200)
    assert sticky.cold == pytest.approx(0, abs=0.01)
    assert anywhere.cold == pytest.approx(0.75, abs=0.05)  # each knows 100 of the 400
    assert sticky.p50_ms < anywhere.p50_ms


def test_a_run_measures_and_writes_the_page(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        with pytest.raises(ConfigurationError, match="apt-get install wrk"):
            measure_all(Console(file=io.StringIO()), _SMALL, (100,))
        return
    output = io.StringIO()
    found = measure_all(Console(file=output), _SMALL, (100,))
    costs, sections = found.constants, tables(found)
    assert set(costs.turns_per_second) == {1, 2}
    assert costs.worker_seconds > costs.redis_seconds > 0
    assert costs.redis_bytes > 100
    assert found.searched[0].own_ms > 0
    show(sections, Console(file=output, width=160))
    assert "worker, a turn" in output.getvalue()
    write(found, sections, tmp_path)
    page = (tmp_path / "docs" / "scaling.md").read_text()
    assert "| 16 | 4 |" in page
    assert (tmp_path / "docs" / "images" / "scaling.svg").exists()
