"""`strata doctor`: looks at all that a service stands on, and says what to do."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict

from service.diagnosis import diagnose
from service.finding import Finding
from service.printing import say, say_json

_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def run_doctor(*, as_json: bool, ask_model: bool) -> bool:
    """Print what was found, each as it is; whether a service could run."""
    return asyncio.run(_show(diagnose(ask_model=ask_model), as_json=as_json))


async def _show(findings: AsyncGenerator[Finding], *, as_json: bool) -> bool:
    found = list[Finding]()
    async with aclosing(findings):
        async for finding in findings:
            found.append(finding)
            if not as_json:
                _say(finding)
    fine = all(finding.state != "fail" for finding in found)
    if as_json:
        say_json({"ok": fine, "findings": [asdict(finding) for finding in found]})
    return fine


def _say(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.state]
    say(sign, style=colour, end=" ")
    say(f"{finding.name:9}", style="bold", end=" ")
    say(finding.told)
    if finding.advice:
        say(f"            {finding.advice}", style="dim")
