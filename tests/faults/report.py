"""The table of results at the end of the campaign."""

from collections.abc import Mapping

from rich.table import Table

from tests.faults.results_file import Ledger


def table(ledgers: Mapping[str, Ledger]) -> Table:
    """What happened, what was checked, and how long things took at the longest."""
    shown = Table(title="The fault campaign", title_justify="left")
    shown.add_column("part")
    shown.add_column("what")
    shown.add_column("count", justify="right")
    for name, ledger in ledgers.items():
        for what, count in sorted(ledger.counts.items(), key=_checks_last):
            style = "red" if what == "failures" else "dim" if what.startswith("checked") else ""
            shown.add_row(name, what, f"{count:,}", style=style)
        for what, seconds in sorted(ledger.slowest.items()):
            shown.add_row(name, f"longest: {what}", f"{seconds:.2f} s")
        verdict = "FAILED" if ledger.failures else "held" if ledger.complete else "held so far"
        shown.add_row(name, verdict, f"{ledger.seconds:,.0f} s", style="bold", end_section=True)
    return shown


def _checks_last(item: tuple[str, int]) -> tuple[bool, str]:
    return item[0].startswith("checked"), item[0]
