"""`onionskin demo`: chats, kills the service with SIGKILL, restarts it and asks."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from onionskin.memory.errors import OnionskinError
from onionskin.service.server.supervisor import supervise

_USER = "demo"
_FACTS = (
    "Hi! My name is Ada and I live in Lisbon.",
    "My dog is called Biscuit; he is a three year old beagle.",
    "I am allergic to peanuts.",
    "I work as a cartographer and mostly map coastlines.",
    "My sister Noor gets married on the 3rd of May.",
    "I would like to learn the cello one day.",
)
_QUESTIONS = (
    ("What is my dog called?", "Biscuit"),
    ("When does my sister get married?", "3rd of May"),
    ("Which instrument would I like to learn?", "cello"),
)
_TIMEOUT_SECONDS = 60.0


class DemoError(OnionskinError):
    """The demonstration failed to run."""

    code = "demo"


@dataclass(frozen=True, slots=True)
class Finding:
    """A question after the restart, and its answer.

    Attributes:
        layers: The layers that added the expected answer to the prompt.
    """

    question: str
    expected: str
    reply: str
    layers: list[str]
    recalled: bool


@dataclass(slots=True)
class Outcome:
    """Result of the demonstration."""

    recalled: bool = False
    facts: int = len(_FACTS)
    killed: list[str] = field(default_factory=list[str])
    restart_seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list[Finding])


def run_demo(*, as_json: bool) -> bool:
    """Run the demonstration; returns whether everything was remembered.

    Raises:
        DemoError: The service did not start or answer.
    """
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="onionskin-demo-") as folder:
        outcome = _play(Path(folder), console)
    if as_json:
        print(json.dumps(asdict(outcome), ensure_ascii=False))  # noqa: T201
    else:
        _show(console, outcome)
    return outcome.recalled


def run_web_demo(port: int) -> None:
    """Serve the playground in a temporary folder, and restart it whenever it is killed.

    Raises:
        SupervisedError: The service exited by itself.
    """
    with tempfile.TemporaryDirectory(prefix="onionskin-demo-") as folder:
        supervise(Path(folder), port=port)


def _play(folder: Path, console: Console) -> Outcome:
    outcome = Outcome()
    console.print("[bold]1.[/] Starting a service in a temporary folder, and telling it six facts")
    with _service(folder) as (process, client):
        session_id = ""
        for message in _FACTS:
            session_id = _chat(client, message)["session_id"]
            console.print(f"   [cyan]you>[/] {message}", highlight=False)
        redis = int((folder / "redis.pid").read_text())
        console.print("[bold]2.[/] kill -9: the service, and its Redis")
        os.kill(process.pid, signal.SIGKILL)
        os.kill(redis, signal.SIGKILL)
        process.wait()
        outcome.killed = ["service", "redis"]
    console.print("[bold]3.[/] Restarting it, closing the old session, asking in a new one")
    started = time.monotonic()
    with _service(folder) as (_, client):
        outcome.restart_seconds = round(time.monotonic() - started, 2)
        client.post(f"/v1/users/{_USER}/sessions/{session_id}/close").raise_for_status()
        for question, expected in _QUESTIONS:
            answer = _chat(client, question)
            outcome.findings.append(_finding(client, answer, question, expected))
    outcome.recalled = all(finding.recalled for finding in outcome.findings)
    return outcome


def _finding(client: httpx.Client, answer: dict[str, Any], question: str, expected: str) -> Finding:
    layers = [layer["layer"] for layer in answer["memory"] if _holds(client, layer, expected)]
    is_in_prompt = bool(layers) and answer["session_id"] != ""
    return Finding(
        question, expected, answer["reply"], layers, is_in_prompt and expected in answer["reply"]
    )


def _holds(client: httpx.Client, layer: dict[str, Any], expected: str) -> bool:
    """Whether a layer added the expected text to the prompt."""
    texts = [layer["summary"], *(hit["content"] for hit in layer["recalled"])]
    for session_id in layer["earlier_sessions"]:
        page = client.get(f"/v1/users/{_USER}/sessions/{session_id}/messages").json()
        texts += [
            message["content"] for message in page["messages"] if message["id"] in layer["messages"]
        ]
    return any(expected in text for text in texts)


@contextmanager
def _service(folder: Path) -> Generator[tuple[subprocess.Popen[str], httpx.Client]]:
    command = [
        sys.executable,
        "-P",
        "-m",
        "onionskin.service",
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(folder),
    ]
    hidden = ("OPENAI_API_KEY", "ONIONSKIN_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,  # so that no .env and no onionskin.toml is read
    ) as process:
        try:
            with httpx.Client(base_url=_address(process), timeout=_TIMEOUT_SECONDS) as client:
                yield process, client
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(_TIMEOUT_SECONDS)


def _address(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if url := re.search(r"http://\S+", line):
            return url[0]
    raise DemoError("The service did not start; see its message above.")


def _chat(client: httpx.Client, message: str) -> dict[str, Any]:
    response = client.post("/v1/chat", json={"user_id": _USER, "message": message})
    if not response.is_success:
        raise DemoError(f"The service answered {response.status_code}: {response.text}")
    return response.json()


def _show(console: Console, outcome: Outcome) -> None:
    table = Table(title="What the service remembered", show_lines=True)
    for heading in ("question", "answer", "layers", ""):
        table.add_column(heading)
    for finding in outcome.findings:
        mark = "[green]remembered[/]" if finding.recalled else "[red]forgotten[/]"
        table.add_row(finding.question, finding.reply, ", ".join(finding.layers), mark)
    console.print(table)
    console.print(f"Restarted in {outcome.restart_seconds} s.")
