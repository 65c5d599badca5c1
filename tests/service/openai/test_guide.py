"""docs/openai.md is true to the letter."""

import re
import subprocess
import sys

from service.openai.schemas import PASSED_ON
from tests.conftest import repository
from tests.service.conftest import Backend
from tests.service.openai.talk import asked_last

_GUIDE = repository() / "docs" / "openai.md"


def test_the_example_of_the_guide_works(backend: Backend) -> None:
    backend.say("alice", "My dog is called Biscuit.")
    (example,) = re.findall(r"^```python\n(.*?)^```", _GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    program = example.replace("http://127.0.0.1:8000", backend.service.url)
    program += "print(answer.choices[0].message.content)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "What is my dog called?" in done.stdout
    assert "Biscuit" in str(asked_last(backend))


def test_the_guide_names_what_the_service_knows() -> None:
    text = _GUIDE.read_text()
    named = {"temperature", "tools", "tool_choice", "response_format", "seed", "stop", "top_p"}
    assert named <= set(PASSED_ON)
    for name in (*named, "X-Strata-Task", "X-Strata-Remember", "STRATA_OPENWEBUI_SECRET"):
        assert f"`{name}" in text, name
