"""Print line and branch coverage by package, and fail below the floor.

    coverage combine; python scripts/coverage_summary.py

The floor is what the whole suite reaches, less the little that killed processes lose.
"""

import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from coverage import Coverage

_FLOOR_LINES, _FLOOR_BRANCHES = 93.0, 85.0
_COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def main() -> None:
    """Read the combined data and print a row for each package."""
    report = Path(".coverage/report.json")
    coverage = Coverage()
    coverage.load()
    silent, sys.stdout = sys.stdout, io.StringIO()
    try:
        coverage.json_report(outfile=str(report))
    finally:
        sys.stdout = silent
    files: dict[str, dict[str, Any]] = json.loads(report.read_text())["files"]
    packages: dict[str, Counter[str]] = {}
    for path, file in files.items():
        package = packages.setdefault(path.partition("/")[0], Counter())
        package.update({name: file["summary"][name] for name in _COUNTS})
    total = sum(packages.values(), Counter[str]())
    print("==> coverage (lines, branches)")
    for name, counts in [*sorted(packages.items()), ("all", total)]:
        print(f"    {name:12} {_lines(counts):5.1f} % {_branches(counts):5.1f} %")
    if _lines(total) < _FLOOR_LINES or _branches(total) < _FLOOR_BRANCHES:
        sys.exit(f"Coverage is below {_FLOOR_LINES} % of lines or {_FLOOR_BRANCHES} % of branches.")


def _lines(counts: Counter[str]) -> float:
    return 100 * counts["covered_lines"] / max(counts["num_statements"], 1)


def _branches(counts: Counter[str]) -> float:
    return 100 * counts["covered_branches"] / max(counts["num_branches"], 1)


if __name__ == "__main__":
    main()
