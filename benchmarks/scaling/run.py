"""One run: the constants of this machine."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from onionskin.benchmarks.scaling.constants import Effort, measure
from onionskin.benchmarks.scaling.large import SIZES, measure_large
from onionskin.benchmarks.scaling.report import Findings
from onionskin.benchmarks.turn.run import hardware


def measure_all(
    console: Console, effort: Effort | None = None, sizes: tuple[int, ...] = SIZES
) -> Findings:
    """Measure, showing how far it is.

    Args:
        console: where to show it.
        effort: how much; None for all.
        sizes: of the histories that are searched, in messages.

    Raises:
        ConfigurationError: wrk is missing, or a server does not start.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        Progress(*columns, console=console, transient=True) as progress,
        tempfile.TemporaryDirectory(prefix="onionskin-bench-") as made,
    ):
        task = progress.add_task("starting the servers")

        def tell(what: str) -> None:
            progress.update(task, description=what)

        constants = measure(Path(made), effort or Effort(), tell)
        return Findings(hardware(), constants, measure_large(sizes, tell))
