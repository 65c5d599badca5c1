"""`onionskin chat`: typed by a person, or piped by a program."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from onionskin.service.cli.exit_codes import ExitCode
from tests.openai_server import Fault, OpenAIServer
from tests.service.conftest import Backend
from tests.service.terminal import ONIONSKIN, error_text, onionskin
from tests.services import environment, running_service


class _Typing:
    """A person at a terminal that runs `onionskin chat`."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]) -> None:
        self._terminal, self.process, self.seen = terminal, process, ""

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, text: str) -> None:
        """Read on until the terminal has shown it, since what was waited for before."""
        while text not in self.seen:
            self.seen += os.read(self._terminal, 1 << 16).decode()
        self.seen = self.seen.partition(text)[2]


@contextmanager
def _typing(url: str) -> Generator[_Typing]:
    terminal, theirs = pty.openpty()
    command = [*ONIONSKIN, "chat", "--user", "typist", "--url", url]
    settings = environment(TERM="xterm")
    with subprocess.Popen(
        command, env=settings, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        try:
            yield _Typing(terminal, process)
        finally:
            process.kill()
            os.close(terminal)


def test_each_answer_is_a_line_of_json(backend: Backend) -> None:
    typed = "My cat is called Tux.\n\nWhat is my cat called?\n"
    done = onionskin("chat", "--user", "js", "--json", "--url", backend.service.url, typed=typed)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["session_id"] == second["session_id"]
    assert "My cat is called Tux." in first["reply"]
    assert done.stderr == ""


def test_what_a_model_says_is_neither_markup_nor_a_command_to_the_terminal(
    backend: Backend,
) -> None:
    typed = "[bold]:smile:[/nope] \x1b]0;owned\x07\n"
    done = onionskin("chat", "--user", "esc", "--url", backend.service.url, typed=typed)
    assert done.returncode == 0
    assert "[bold]:smile:[/nope]" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_a_person_goes_on_after_an_answer_that_was_broken_off(
    tmp_path: Path, model: OpenAIServer
) -> None:
    model.reply = lambda _: "Fine."
    settings = {"ONIONSKIN_MODEL": "test-model", "ONIONSKIN_MODEL_BASE_URL": model.base_url}
    with running_service(tmp_path / "data", **settings) as service, _typing(service.url) as person:
        person.wait_for("you>")
        person.type("How are you?\n")
        person.wait_for("Fine.")
        person.wait_for("you>")
        model.faults.append(Fault(hang=True, purpose="completions"))
        person.type("Are you well?\n")
        while model.faults:
            time.sleep(0.01)
        person.process.send_signal(signal.SIGINT)
        person.wait_for("The answer was stopped.")
        person.wait_for("you>")
        person.type("And now?\n")
        person.wait_for("Fine.")
        person.wait_for("you>")
        person.type("\x04")
        assert person.process.wait(20) == ExitCode.OK


def _interrupted(process: subprocess.Popen[bytes]) -> int:
    """Press Ctrl-C until it ends: one between two lines may come before anybody reads."""
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(2)
    return process.wait(0)


def test_a_person_sees_that_the_service_is_away_and_goes_on(tmp_path: Path) -> None:
    with (
        running_service(tmp_path / "data", ONIONSKIN_MODEL="offline") as service,
        _typing(service.url) as person,
    ):
        person.wait_for("you>")
        service.kill()
        service.stop_redis()
        person.type("Are you there?\n")
        person.wait_for("cannot be reached")
        person.wait_for("you>")
        assert _interrupted(person.process) == ExitCode.INTERRUPTED
    done = onionskin("chat", "--url", service.url, typed="Are you there?\n")
    assert done.returncode == ExitCode.AWAY
    assert "onionskin serve" in error_text(done)
