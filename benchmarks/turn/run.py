"""Runs the benchmark of a turn: measures all sides."""

import os
import platform
import tempfile
from pathlib import Path

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from onionskin.benchmarks.turn.call_counts import (
    count_calls,
    first_tokens,
    longest_prompt,
    slow_model,
)
from onionskin.benchmarks.turn.figures import Figures
from onionskin.benchmarks.turn.load import find_wrk
from onionskin.benchmarks.turn.load_rounds import LoadRounds, OnProgress
from onionskin.benchmarks.turn.plan import Plan
from onionskin.benchmarks.turn.sides import (
    BARE,
    CLASSIC,
    LAYERED,
    MEM0,
    MEM0_INFERS,
    NONE,
    REMOTE,
    Side,
    missing,
    open_sides,
)
from onionskin.benchmarks.turn.startup import embedder_ms, first_answer_seconds, import_seconds
from onionskin.memory.profiles import load_profiles
from onionskin.service.console import progress

_GIB = 1 << 30
_FRAMES_TOKENS = 400  # instructions, tags and the current time


def measure(plan: Plan) -> Figures:
    """The figures of a run, with progress in the terminal.

    Raises:
        ConfigurationError: wrk is missing, or a server did not start.
    """
    find_wrk()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        progress(*columns) as bars,
        tempfile.TemporaryDirectory(prefix="onionskin-bench-") as folder,
    ):
        task = bars.add_task("starting")
        return _measure(plan, Path(folder), lambda text: bars.update(task, description=text))


def _measure(plan: Plan, folder: Path, on_progress: OnProgress) -> Figures:
    figures = Figures(hardware())
    on_progress("timing the start")
    figures.first_answer_seconds = first_answer_seconds(folder, plan.starts)
    figures.import_seconds = import_seconds(plan.starts)
    figures.embedder_ms = embedder_ms()
    names = [BARE, NONE, LAYERED, REMOTE, CLASSIC, *((MEM0, MEM0_INFERS) if plan.peers else ())]
    figures.left_out = [reason for name in names if (reason := missing(name))]
    on_progress("starting the servers")
    with open_sides([name for name in names if not missing(name)], folder) as sides:
        _measure_sides(figures, plan, sides, folder, on_progress)
    return figures


def _measure_sides(
    figures: Figures, plan: Plan, sides: dict[str, Side], folder: Path, on_progress: OnProgress
) -> None:
    rounds = LoadRounds(sides, plan, folder, on_progress)
    figures.cells = list(rounds.run())
    figures.sizes = rounds.sizes
    for name, side in sides.items():
        on_progress(f"counting calls: {name}")
        turns = plan.counted_turns if name == LAYERED else plan.peer_turns
        figures.calls.append(count_calls(side, turns))
    for history in plan.histories:
        on_progress(f"the longest prompt after {history:,} turns")
        user = rounds.user(history)
        figures.prompt_tokens[history] = longest_prompt(sides[LAYERED], user, plan.peer_turns)
    figures.prompt_budget = _prompt_budget()
    compared = sides if plan.peers else {name: sides[name] for name in (BARE, LAYERED)}
    figures.slow_ms = slow_model(compared, plan.slow_pairs, on_progress)
    streaming = {name: sides[name] for name in (BARE, NONE, LAYERED, REMOTE)}
    medians, overhead = first_tokens(streaming, plan.first_tokens, on_progress)
    figures.first_token_ms, figures.first_token_overhead_ms = medians, overhead


def _prompt_budget() -> int:
    """The most tokens of a prompt, by the budgets of the built-in layered profile."""
    profile = load_profiles()["layered"]
    budgets = (
        profile.window.budget_tokens,
        profile.summary.budget_tokens,
        profile.summary.carry_tokens,
        profile.facts.pinned_tokens,
        profile.facts.budget_tokens,
        profile.vector.budget_tokens,
    )
    return sum(budgets) + _FRAMES_TOKENS


def hardware() -> str:
    """A description of the machine."""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def _processor() -> str:
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
