"""docs/applications.md: its programs run as written."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import repository
from tests.services import environment, running_service

_CALL = {
    "id": "call-1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Porto"}'},
}


def _programs() -> dict[str, str]:
    """The programs of the page by their file names."""
    page = (repository() / "docs" / "applications.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return {block.partition("\n")[0].removeprefix("# "): block for block in blocks}


class _Model(ThreadingHTTPServer):
    """Calls a tool, and answers once it has the result."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Completions)
        self.asked: list[list[dict[str, Any]]] = []


class _Completions(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages: list[dict[str, Any]] = body["messages"]
        server = self.server
        assert isinstance(server, _Model)
        server.asked.append(messages)
        message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [_CALL]}
        if messages[-1]["role"] == "tool":
            message = {"role": "assistant", "content": f"It is: {messages[-1]['content']}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 0, "model": "m"}
        content = json.dumps(answer | {"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""


@pytest.fixture
def model() -> Iterator[_Model]:
    server = _Model()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_the_loop_remembers_what_its_own_model_answered(tmp_path: Path, model: _Model) -> None:
    program = tmp_path / "loop.py"
    program.write_text(_programs()["loop.py"])
    with running_service(tmp_path / "data", ONIONSKIN_MODEL="offline") as service:
        chosen = environment(
            ONIONSKIN_URL=service.url,
            OPENAI_API_KEY="none",
            OPENAI_BASE_URL=f"http://127.0.0.1:{model.server_address[1]}/v1",
        )

        def run(text: str) -> str:
            command = [sys.executable, str(program), text]
            done = subprocess.run(
                command, env=chosen, cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert run("I live in Porto. How is the weather?") == "It is: Sunny in Porto.\n"
        assert run("Where do I live?").startswith("It is:")
        assert "I live in Porto." in str(model.asked[-1])
        with service.client() as client:
            (session,) = client.get("/v1/users/ann/sessions").json()["sessions"]
            url = f"/v1/users/ann/sessions/{session['session_id']}/messages"
            stored = client.get(url).json()["messages"]
    assert [one["role"] for one in stored] == ["user", "assistant", "assistant"] * 2
    assert stored[1]["calls"][0]["name"] == "weather"
    assert stored[2]["results"][0]["content"] == "Sunny in Porto."


@contextmanager
def _uvicorn(folder: Path, *arguments: str) -> Generator[str]:
    command = [sys.executable, "-m", "uvicorn", *arguments, "--port", "0"]
    chosen = environment(ONIONSKIN_DATA_DIR=str(folder / "data"), ONIONSKIN_MODEL="offline")
    with subprocess.Popen(
        command, env=chosen, cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        found = None
        try:
            for line in process.stderr or ():
                if found := re.search(r"running on (http://\S+)", line):
                    break
            assert found, process.wait()
            yield found[1]
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_the_application_that_includes_the_memory_runs(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(_programs()["app.py"])
    with _uvicorn(tmp_path, "app:app") as url:
        body = {"user_id": "ann", "message": "My dog is called Biscuit."}
        answer = httpx.post(f"{url}/memory/v1/chat", json=body, timeout=30)
        assert answer.is_success, answer.text
        known = httpx.get(f"{url}/known/ann", params={"about": "my dog"}, timeout=30).json()
        assert known["greeting"] == "Hello"
        assert "Biscuit" in known["known"]


def test_the_command_for_uvicorn_runs(tmp_path: Path) -> None:
    page = (repository() / "docs" / "applications.md").read_text()
    command = re.search(r"^uvicorn (.*) --port 8000 (.*)$", page, re.MULTILINE)
    assert command
    with _uvicorn(tmp_path, *command[1].split(), *command[2].split()) as url:
        assert httpx.get(f"{url}/v1/about", timeout=30).json()["model"]["offline"]
