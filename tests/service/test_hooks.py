"""After-turn hooks: each stored turn, after the answer, in whatever process runs tasks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.hooks import load_hooks
from onionskin.memory.layers.langchain_classic_factories import Sources
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RedisStore
from tests.openai_server import OpenAIServer
from tests.polling import until
from tests.service.conftest import Backend, running_backend
from tests.services import running_worker

_HOOKS = """
import json, os, pathlib

HERE = pathlib.Path(__file__).parent


def _write(name, turn):
    line = {
        "user": turn.user.id,
        "turn_id": turn.turn_id,
        "session_id": turn.session_id,
        "profile": turn.profile,
        "said": [[one.message.role, one.message.content] for one in turn.messages],
        "process": os.getpid(),
    }
    with (HERE / name).open("a") as file:
        file.write(json.dumps(line) + "\\n")


async def on_turn(turn):
    _write("async.jsonl", turn)


def plain(turn):
    _write("plain.jsonl", turn)


class Writer:
    def __init__(self, name):
        self.name = name

    async def __call__(self, turn):
        _write(self.name, turn)


async def failing(turn):
    raise RuntimeError("about " + turn.messages[0].message.content)


def no_turn():
    pass


VALUE = 3
"""
_PROFILES = """
[profiles.hooked]
layers = ["window"]
after_turn = ["my_hooks.failing", "my_hooks.on_turn", "my_hooks.plain", "my_hooks:Writer"]
options = { "my_hooks:Writer" = { name = "class.jsonl" } }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_hooks.py").write_text(_HOOKS)
    (tmp_path / "mine.toml").write_text(_PROFILES)
    return tmp_path


@pytest.fixture
def hooked(model: OpenAIServer, folder: Path) -> Iterator[Backend]:
    settings = {"ONIONSKIN_PROFILES": str(folder / "mine.toml")}
    with running_backend(model, folder / "data", **settings) as backend:
        yield backend


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_every_hook_gets_the_stored_turn_and_a_failing_one_stops_nothing(
    hooked: Backend, folder: Path
) -> None:
    answer = hooked.say("ann", "My boat is blue.", profile="hooked").raise_for_status().json()
    files = [folder / name for name in ("async.jsonl", "plain.jsonl", "class.jsonl")]
    until(lambda: all(map(_lines, files)))
    for file in files:
        (line,) = _lines(file)
        assert line["said"] == [["user", "My boat is blue."], ["assistant", answer["reply"]]]
        assert (line["user"], line["profile"]) == ("ann", "hooked")
        assert line["turn_id"] == answer["turn_id"]
        assert line["session_id"] == answer["session_id"]
    hooked.say("ann", "And my car is red.", profile="hooked").raise_for_status()
    until(lambda: all(len(_lines(file)) == 2 for file in files))


def test_profiles_without_hooks_call_none(hooked: Backend, folder: Path) -> None:
    hooked.say("ben", "Nobody hears this.", profile="window").raise_for_status()
    hooked.say("ben", "This is heard.", profile="hooked").raise_for_status()
    until(lambda: _lines(folder / "class.jsonl"))
    assert "Nobody" not in (folder / "class.jsonl").read_text()


def test_a_separate_worker_calls_the_hooks(model: OpenAIServer, folder: Path) -> None:
    settings = {"ONIONSKIN_PROFILES": str(folder / "mine.toml"), "ONIONSKIN_JOBS": "elsewhere"}
    with running_backend(model, folder / "data", **settings) as backend:
        backend.say("cleo", "Hello.", profile="hooked").raise_for_status()
        assert not _lines(folder / "async.jsonl")
        with running_worker(folder / "data", **settings) as worker:
            until(lambda: _lines(folder / "async.jsonl"))
            assert _lines(folder / "async.jsonl")[0]["process"] == worker.process.pid


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ('after_turn = ["my_hooks.on_turns"]', "Did you mean 'on_turn'"),
        ('after_turn = ["my_hook.on_turn"]', "no module 'my_hook'"),
        ('after_turn = ["my_hooks.no_turn"]', "must take the turn alone"),
        ('after_turn = ["my_hooks.VALUE"]', "cannot be called"),
        ('after_turn = ["my_hooks.Writer"]', "missing a required argument: 'name'"),
        ('after_turn = ["on_turn"]', "my_hooks.on_turn"),
        (
            'after_turn = ["my_hooks.plain"]\noptions = {"my_hooks.plain" = {x = 1}}',
            "takes no options",
        ),
    ],
)
def test_what_cannot_be_a_hook_is_refused_at_the_start(
    folder: Path, store: RedisStore, embedder: StaticEmbedder, profile: str, named: str
) -> None:
    (folder / "mine.toml").write_text(f'[profiles.mine]\nlayers = ["window"]\n{profile}\n')
    with pytest.raises(ConfigurationError) as caught:
        load_hooks("mine", load_profiles(folder / "mine.toml")["mine"], Sources(store, embedder))
    assert named in str(caught.value)
