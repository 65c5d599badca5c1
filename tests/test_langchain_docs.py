"""docs/langchain.md: its programs run as written, one after the other, and share a memory."""

import asyncio
import re
import sys
from pathlib import Path

from tests.conftest import repository
from tests.openai_server import OpenAIServer
from tests.services import environment, running_service

_OUTPUTS = {
    "ConversationChain": "Biscuit",
    "create_agent": "You said:",
    "RunnableWithMessageHistory": "2\n",
    "OnionskinMemory": "My cat is called Ink.",
    "OnionskinVectorStore": "Taxes are due in May.",
    "export_faiss": "True\n",
    "SyncOnionskinClient": "unknown_session\n",
}


async def test_its_programs_run(tmp_path: Path) -> None:
    page = (repository() / "docs" / "langchain.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(programs) == len(_OUTPUTS)
    async with OpenAIServer() as model:
        with running_service(tmp_path / "service", ONIONSKIN_MODEL="offline") as service:
            for program, (name, expected) in zip(programs, _OUTPUTS.items(), strict=True):
                assert name in program
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", program, service.url),
                    cwd=tmp_path,
                    env=environment(OPENAI_API_KEY="none", OPENAI_BASE_URL=model.base_url),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                output, errors = await process.communicate()
                assert process.returncode == 0, f"{program}\n{errors.decode()}"
                assert expected in output.decode(), program
        assert "My dog is called Biscuit." in str(model.requests[-1].messages)


def test_every_linked_file_exists() -> None:
    for page in ("langchain.md", "decisions/0015-langgraph.md"):
        text = (repository() / "docs" / page).read_text()
        for link in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert ((repository() / "docs" / page).parent / link).exists(), link
