"""Runs the benchmark of scaling."""

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
    """The findings on this machine, with progress in the terminal.

    Args:
        console: Console for the progress.
        effort: Sizes of the measurement; None for the full one.
        sizes: Sizes of the searched histories in messages.

    Raises:
        ConfigurationError: wrk is missing, or a server did not start.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        Progress(*columns, console=console, transient=True) as progress,
        tempfile.TemporaryDirectory(prefix="onionskin-bench-") as folder,
    ):
        task = progress.add_task("starting the servers")

        def on_progress(text: str) -> None:
            progress.update(task, description=text)

        constants = measure(Path(folder), effort or Effort(), on_progress)
        return Findings(hardware(), constants, measure_large(sizes, on_progress))
