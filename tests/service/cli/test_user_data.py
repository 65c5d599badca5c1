"""`onionskin export` and `onionskin erase`."""

import json
import subprocess
from pathlib import Path

from onionskin.service.cli.exit_codes import ExitCode
from tests.service.conftest import Backend
from tests.services import environment, run_command, running_service


def _onionskin(
    *arguments: str, typed: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    return run_command(arguments, environment=environment(**settings), typed=typed)


def test_a_user_is_exported_restored_and_erased(backend: Backend, tmp_path: Path) -> None:
    at = ("--url", backend.service.url)
    backend.say("cli/\u00fc".replace("/", ""), "My cat is called Tux.").raise_for_status()
    exported = _onionskin("export", "--user", "cli\u00fc", *at)
    assert [json.loads(line)["kind"] for line in exported.stdout.splitlines()] == [
        "onionskin-export",
        "session",
        "message",
        "message",
        "end",
    ]
    file = tmp_path / "export.jsonl"
    file.write_text(exported.stdout)
    assert "2 messages stored" in _onionskin("import", str(file), "--user", "moved", *at).stdout
    assert _onionskin("export", "--user", "moved", *at).stdout == exported.stdout
    kept = _onionskin("erase", "--user", "moved", *at, typed="n\n")
    assert kept.returncode == ExitCode.FAILED
    assert "for good?" in kept.stderr
    asked = _onionskin("erase", "--user", "moved", *at, typed="y\n")
    assert asked.stdout.startswith("'moved' is erased: 1 session, 2 messages,")
    again = _onionskin("erase", "--user", "moved", "--yes", "--json", *at)
    assert json.loads(again.stdout)["keys"] == 0
    away = _onionskin("export", "--user", "moved", "--url", "http://127.0.0.1:9")
    assert away.returncode == ExitCode.AWAY
    assert "onionskin serve" in away.stderr


def test_the_api_key_of_the_environment_is_shown_to_the_service(tmp_path: Path) -> None:
    with running_service(tmp_path, ONIONSKIN_AUTH="keys", ONIONSKIN_MODEL="offline") as service:
        made = _onionskin("keys", "create", "--json", ONIONSKIN_DATA_DIR=str(tmp_path))
        key = json.loads(made.stdout)["key"]
        file = tmp_path / "chat.jsonl"
        file.write_text('{"role": "user", "content": "I sold the boat."}\n')
        at = ("--user", "bo", "--url", service.url)
        for command in (("import", str(file)), ("export",), ("erase", "--yes")):
            refused = _onionskin(*command, *at)
            assert refused.returncode == ExitCode.FAILED
            assert "Credentials are missing" in refused.stderr
        assert "1 message" in _onionskin("import", str(file), *at, ONIONSKIN_API_KEY=key).stdout
        talked = _onionskin("chat", *at, typed="Which boat?\n", ONIONSKIN_API_KEY=key)
        assert "window: 1 message" in talked.stdout
        exported = _onionskin("export", *at, ONIONSKIN_API_KEY=key).stdout
        assert "I sold the boat." in exported
        erased = _onionskin("erase", "--yes", "--json", *at, ONIONSKIN_API_KEY=key).stdout
        assert json.loads(erased)["messages"] == 3
