"""The fault campaign breaks real servers and checks the documented guarantees.

    .venv/bin/python -m tests.faults [--quick] [--only crashes] [--fresh]

It resumes where it stopped; the counts are in `.faults/`. Exit code 1 means a failed check.
"""

import argparse
import asyncio
import logging
import shutil
import tempfile
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from tests.faults import (
    cancellation,
    concurrency,
    crashes,
    failover,
    mixed_load,
    model,
    network,
    power_losses,
    soak,
)
from tests.faults.plan import FULL, QUICK
from tests.faults.report import table
from tests.faults.results_file import Ledger

Part = Callable[[Ledger, Path], Coroutine[Any, Any, None]]
PARTS: dict[str, Part] = {
    "crashes": crashes.run,
    "power": power_losses.run,
    "failover": failover.run,
    "network": network.run,
    "concurrency": concurrency.run,
    "cancellations": cancellation.run,
    "model": model.run,
    "everything": mixed_load.run,
    "soak": soak.run,
}


def main() -> int:
    """Run the campaign and return the exit code."""
    options = _options()
    console = Console()
    home = Path(".faults") / ("quick" if options.quick else "full")
    if options.fresh or options.quick:
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    logging.getLogger("onionskin").setLevel(logging.CRITICAL)  # it logs every fault
    plan = QUICK if options.quick else FULL
    ledgers = dict[str, Ledger]()
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for name in options.only or PARTS:
            task = progress.add_task(name, total=sum(plan[name].values()))
            ledger = Ledger(home / f"{name}.json", plan[name])
            ledger.on_change = partial(_show, progress, task, ledger)
            ledgers[name] = ledger
            _run(PARTS[name], ledger)
            ledger.on_change()
    console.print(table(ledgers))
    for name, ledger in ledgers.items():
        for failure in ledger.failures:
            console.print(f"{name}: {failure}", style="red", markup=False)
    return int(any(ledger.failures for ledger in ledgers.values()))


def _show(progress: Progress, task: TaskID, ledger: Ledger) -> None:
    progress.update(task, completed=ledger.done)


def _run(part: Part, ledger: Ledger) -> None:
    with tempfile.TemporaryDirectory(prefix="onionskin-faults-") as folder:
        try:
            asyncio.run(part(ledger, Path(folder)))
        except Exception:  # noqa: BLE001 - an aborted part is a failure; the others run
            ledger.fail(traceback.format_exc())
        finally:
            ledger.save()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes, always from the start")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="a part; repeatable")
    parser.add_argument("--fresh", action="store_true", help="discard earlier counts")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
