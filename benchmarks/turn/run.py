"""One run: every side measured side by side."""

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
from onionskin.benchmarks.turn.load_rounds import Loading, Tell
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
_FRAMES_TOKENS = 400  # instructions, tags and the time


def measure(plan: Plan) -> Figures:
    """Measure all that the plan says, showing how far it is.

    Raises:
        ConfigurationError: wrk is missing, or a server does not start.
    """
    find_wrk()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        progress(*columns) as shown,
        tempfile.TemporaryDirectory(prefix="onionskin-bench-") as made,
    ):
        task = shown.add_task("starting")
        return _measure(plan, Path(made), lambda what: shown.update(task, description=what))


def _measure(plan: Plan, folder: Path, tell: Tell) -> Figures:
    figures = Figures(hardware())
    tell("timing the start")
    figures.first_answer_seconds = first_answer_seconds(folder, plan.starts)
    figures.import_seconds = import_seconds(plan.starts)
    figures.embedder_ms = embedder_ms()
    names = [BARE, NONE, LAYERED, REMOTE, CLASSIC, *((MEM0, MEM0_INFERS) if plan.peers else ())]
    figures.left_out = [why for name in names if (why := missing(name))]
    tell("starting the servers")
    with open_sides([name for name in names if not missing(name)], folder) as sides:
        _measure_sides(figures, plan, sides, folder, tell)
    return figures


def _measure_sides(
    figures: Figures, plan: Plan, sides: dict[str, Side], folder: Path, tell: Tell
) -> None:
    loading = Loading(sides, plan, folder, tell)
    figures.cells = list(loading.run())
    figures.sizes = loading.sizes
    for name, side in sides.items():
        tell(f"counting calls: {name}")
        turns = plan.counted_turns if name == LAYERED else plan.peer_turns
        figures.calls.append(count_calls(side, turns))
    for history in plan.histories:
        tell(f"the longest prompt after {history:,} turns")
        user = loading.user(history)
        figures.prompt_tokens[history] = longest_prompt(sides[LAYERED], user, plan.peer_turns)
    figures.prompt_budget = _prompt_budget()
    compared = sides if plan.peers else {name: sides[name] for name in (BARE, LAYERED)}
    figures.slow_ms = slow_model(compared, plan.slow_pairs, tell)
    streaming = {name: sides[name] for name in (BARE, NONE, LAYERED, REMOTE)}
    medians, overhead = first_tokens(streaming, plan.first_tokens, tell)
    figures.first_token_ms, figures.first_token_overhead_ms = medians, overhead


def _prompt_budget() -> int:
    """What the budgets of the built-in layered profile allow a prompt to take."""
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
    """The machine, in a line."""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
