"""docs/openai.md is true to the letter."""

import re
import subprocess
import sys

import pytest

from onionskin.service.openai.schemas import PASSED_ON
from tests.conftest import repository
from tests.service.conftest import Backend
from tests.service.openai.node import CLIENTS, NODE
from tests.service.openai.sdk_calls import asked_last

_GUIDE = repository() / "docs" / "openai.md"


def _examples() -> list[tuple[list[str], str]]:
    """How each program of the guide is run, and the program."""
    found = re.findall(r"^```(python|js)\n(.*?)^```", _GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    said = "print(answer.choices[0].message.content)\n"
    return [
        ([sys.executable, "-c"], program + said)
        if language == "python"
        else ([NODE, "--input-type=module", "-e"], program)
        for language, program in found
    ]


@pytest.mark.parametrize(("command", "program"), _examples(), ids=["python", "js", "ai-sdk"])
def test_the_examples_of_the_guide_work(backend: Backend, command: list[str], program: str) -> None:
    backend.say("alice", "My dog is called Biscuit.")
    program = program.replace("http://127.0.0.1:8000", backend.service.url)
    done = subprocess.run(
        [*command, program], cwd=CLIENTS, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "What is my dog called?" in done.stdout
    assert "Biscuit" in str(asked_last(backend))


def test_the_guide_names_what_the_service_knows() -> None:
    text = _GUIDE.read_text()
    named = {"temperature", "tools", "tool_choice", "response_format", "seed", "stop", "top_p"}
    assert named <= set(PASSED_ON)
    for name in (*named, "X-Onionskin-Task", "X-Onionskin-Remember", "ONIONSKIN_OPENWEBUI_SECRET"):
        assert f"`{name}" in text, name
