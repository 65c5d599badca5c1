"""Clients that nobody here wrote: OpenAI's SDK for JavaScript, and Vercel's AI SDK."""

import json
import re
import subprocess
from typing import Any

import pytest

from tests.openai_server import Request
from tests.service.conftest import Backend
from tests.service.openai.lossy_proxy import Loss, losing_relay
from tests.service.openai.node import CLIENTS, NODE
from tests.services import environment


def _asked(request: Request) -> str:
    """What the model was asked, as its answer."""
    shown: list[dict[str, Any]] = request.body["messages"]
    asked = {
        "last": shown[-1]["content"],
        "prompt": json.dumps(shown),
        "tools": request.body.get("tools"),
    }
    return json.dumps(asked)


def _first(retries: int) -> Loss:
    return None if retries else "dropped"


@pytest.mark.parametrize("program", ["openai.test.js", "ai-sdk.test.js"])
def test_a_client_in_javascript(backend: Backend, program: str) -> None:
    assert (CLIENTS / "node_modules" / "openai").exists(), "run `make .venv/installed-dev`"
    backend.model.reply = _asked
    with losing_relay(backend.service.url, loses=_first) as relay:
        done = subprocess.run(
            [NODE, "--test", "--test-reporter=tap", program],
            cwd=CLIENTS,
            env=environment(ONIONSKIN_URL=backend.service.url, LOSING_URL=relay.url),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    tests = re.findall(r"^test\(", (CLIENTS / program).read_text(), re.MULTILINE)
    assert f"# pass {len(tests)}\n" in done.stdout
    assert relay.lost["dropped"] > 1


def test_the_lock_pins_with_hashes_and_names_no_registry() -> None:
    lock = (CLIENTS / "package-lock.json").read_text()
    assert "://" not in lock
    assert "resolved" not in lock
    packages = {name: one for name, one in json.loads(lock)["packages"].items() if name}
    assert len(packages) > 3
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
