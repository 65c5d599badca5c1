"""`strata doctor`: looks at all that a service stands on, and says what to do."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict

from rich.console import Console

from service.diagnosis import diagnose
from service.finding import Finding

_SIGNS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


def run_doctor(*, as_json: bool, ask_model: bool) -> bool:
    """Print what was found, each as it is; whether a service could run."""
    return asyncio.run(_show(diagnose(ask_model=ask_model), as_json=as_json))


async def _show(findings: AsyncGenerator[Finding], *, as_json: bool) -> bool:
    console, found = Console(), list[Finding]()
    async with aclosing(findings):
        async for finding in findings:
            found.append(finding)
            if not as_json:
                console.print(f"{_SIGNS[finding.state]} [bold]{finding.name:9}[/] ", end="")
                console.print(finding.told, highlight=False, markup=False, soft_wrap=True)
                if finding.advice:
                    console.print(
                        f"            {finding.advice}",
                        style="dim",
                        highlight=False,
                        markup=False,
                        soft_wrap=True,
                    )
    fine = all(finding.state != "fail" for finding in found)
    if as_json:
        print(  # noqa: T201
            json.dumps({"ok": fine, "findings": [asdict(finding) for finding in found]})
        )
    return fine
