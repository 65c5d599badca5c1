"""Layers of the operator in a running service: from a TOML beside their module."""

from pathlib import Path

import pytest

from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.layers.langchain_classic import ClassicLayer
from onionskin.memory.layers.langchain_classic_factories import ClassicOptions, Sources
from onionskin.memory.profiles import build_layers, load_profiles
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RedisStore
from tests.openai_http import Request
from tests.openai_server import OpenAIServer
from tests.service.conftest import Backend, running_backend
from tests.services import environment, run_command

_MODULE = '''
from langchain_classic.base_memory import BaseMemory
from onionskin.memory.layers import Section


class FirstAndLast:
    name = "first-and-last"

    def __init__(self, first=1, last=2):
        self.first, self.last = first, last

    async def load(self, turn):
        first = await turn.transcript.first(self.first)
        return Section(self.name, messages=(*first, *await turn.transcript.last(self.last)))


class Unfolded:
    """Written after the example of the window."""

    name = "unfolded"

    async def load(self, turn):
        return Section(self.name, messages=turn.snapshot.unfolded)


class Shouting(BaseMemory):
    """A classic memory that keeps what was said in capitals."""

    said: list[str] = []
    mark: str

    @property
    def memory_variables(self):
        return ["history"]

    def load_memory_variables(self, inputs):
        return {"history": " ".join(f"{self.mark}{one.upper()}" for one in self.said)}

    def save_context(self, inputs, outputs):
        self.said.append(inputs["input"])

    def clear(self):
        self.said.clear()


class Broken:
    name = "broken"

    async def load(self, turn):
        raise ValueError("The user said " + turn.text)


class Careless:
    name = "careless"

    async def load(self, turn):
        return "text"


class NotAsync:
    name = "plain"

    def load(self, turn):
        return None


class Nameless:
    async def load(self, turn):
        return None


class Needy:
    name = "needy"

    def __init__(self, size):
        if size < 0:
            raise ValueError("size is negative")

    async def load(self, turn):
        return None


class NoLayer:
    pass


class Window:
    name = "window"

    async def load(self, turn):
        return None
'''
_PROFILES = """
[profiles.ends]
layers = ["my_memories.FirstAndLast"]

[profiles.ends.options."my_memories.FirstAndLast"]
first = 2
last = 1

[profiles.both]
layers = ["window", "my_memories:FirstAndLast"]
window = { keep_pairs = 1 }

[profiles.unfolded]
layers = ["my_memories.Unfolded"]

[profiles.shouting]
layers = ["my_memories.Shouting"]
options = { "my_memories.Shouting" = { mark = "!" } }

[profiles.graph]
layers = ["classic"]
classic = { memory = "ConversationKGMemory" }

[profiles.community]
layers = ["langchain_community.memory.kg.ConversationKGMemory"]

[profiles.broken]
layers = ["my_memories.Broken", "window", "my_memories.Careless"]
"""


@pytest.fixture(scope="module")
def settings_of_backend(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_memories.py").write_text(_MODULE)
    (folder / "mine.toml").write_text(_PROFILES)
    return {"ONIONSKIN_PROFILES": str(folder / "mine.toml")}


def _prompt(backend: Backend) -> list[str]:
    return [text for _, text in backend.model.requests[-1].messages]


def _said(backend: Backend, user: str, profile: str) -> str:
    """The prompt of a fourth turn, as one text."""
    backend.model.reply = lambda _: "Noted."
    for number in range(3):
        backend.say(user, f"Number {number}.", profile=profile).raise_for_status()
    backend.say(user, "And now?", profile=profile).raise_for_status()
    return "\n".join(_prompt(backend))


def test_a_layer_reads_the_transcript_it_asks_for(backend: Backend) -> None:
    prompt = _said(backend, "ann", "ends")
    assert "Number 0." in prompt
    assert "Number 1." not in prompt
    assert "Number 2." not in prompt
    assert _prompt(backend)[1:-1] == ["Number 0.", "Noted.", "Noted."]


def test_what_two_layers_show_is_in_the_prompt_once_and_in_order(backend: Backend) -> None:
    _said(backend, "ben", "both")
    assert _prompt(backend)[1:-1] == ["Number 0.", "Number 2.", "Noted."]


def test_a_layer_after_the_example_of_the_window_sees_the_whole_session(backend: Backend) -> None:
    _said(backend, "cleo", "unfolded")
    said = [text for number in range(3) for text in (f"Number {number}.", "Noted.")]
    assert _prompt(backend)[1:-1] == said


def test_a_memory_of_langchain_is_fed_from_the_transcript(backend: Backend) -> None:
    assert "!NUMBER 0. !NUMBER 1. !NUMBER 2." in _said(backend, "dan", "shouting")


def test_a_turn_goes_on_without_a_layer_that_fails(backend: Backend) -> None:
    backend.say("eli", "Number 0.", profile="broken").raise_for_status()
    answer = backend.say("eli", "And now?", profile="broken").raise_for_status().json()
    assert answer["degraded"] == ["broken", "careless"]
    assert "Number 0." in "\n".join(_prompt(backend))
    assert answer["turn_id"]


@pytest.mark.parametrize("profile", ["graph", "community"])
def test_langchains_knowledge_graph_is_a_layer_by_name_and_by_path(
    backend: Backend, profile: str
) -> None:
    """The model extracts the triples, and names the entities of a question."""

    def answer(request: Request) -> str:
        asked = request.messages[-1][1]
        if "knowledge triple" in asked:
            return "(Rex, is, a dog)" if "Rex" in asked.rpartition("Person #1:")[2] else "NONE"
        return "Rex" if "proper nouns" in asked else "Noted."

    backend.model.reply = answer
    backend.say(f"kg-{profile}", "Rex is a dog.", profile=profile).raise_for_status()
    reply = backend.say(f"kg-{profile}", "Who is Rex?", profile=profile).raise_for_status().json()
    assert reply["degraded"] == []
    assert reply["memory"][0]["summary"] == "On Rex: Rex is a dog."
    assert "On Rex: Rex is a dog." in "\n".join(_prompt(backend))


def test_a_missing_package_of_a_memory_is_named_at_the_start(
    store: RedisStore, embedder: StaticEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(name: str) -> None:
        assert name == "networkx"

    factories = "onionskin.memory.layers.langchain_classic_factories"
    monkeypatch.setattr(f"{factories}.find_spec", nothing)
    options = ClassicOptions("ConversationKGMemory")
    with pytest.raises(ConfigurationError, match="pip install networkx"):
        ClassicLayer.of(options, Sources(store, embedder, OfflineChatModel()))


def test_another_worker_rebuilds_a_memory_of_langchain(
    model: OpenAIServer, settings_of_backend: dict[str, str], tmp_path: Path
) -> None:
    prompt = ""
    for number in range(2):
        with running_backend(model, tmp_path / "data", **settings_of_backend) as backend:
            backend.say("fay", f"Number {number}.", profile="shouting").raise_for_status()
            prompt = "\n".join(_prompt(backend))
    assert "!NUMBER 0." in prompt


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ('layers = ["my_memories.Nothing"]', "no 'Nothing'"),
        ('layers = ["my_memory.FirstAndLast"]', "no module 'my_memory'"),
        ('layers = ["my_memories.NoLayer"]', "async def load"),
        ('layers = ["my_memories.NotAsync"]', "async def load"),
        ('layers = ["my_memories.Nameless"]', "name = 'Nameless'"),
        ('layers = ["my_memories.Needy"]', "missing a required argument: 'size'"),
        (
            'layers = ["my_memories.Needy"]\noptions = {"my_memories.Needy" = {size = -1}}',
            "size is negative",
        ),
        (
            'layers = ["my_memories.Needy"]\noptions = {"my_memories.Needy" = {sice = 1}}',
            "it takes: size",
        ),
        ('layers = ["my_memories.Shouting"]', "mark"),
        ('layers = ["window", "my_memories.Window"]', "two layers with the name 'window'"),
        ('layers = ["windw"]', "did you mean 'window'"),
        ('layers = ["windw"]', "window, summary, facts, vector, classic"),
        ('layers = ["window"]\noptions = {"my_memories.Needy" = {size = 1}}', "not in layers"),
        ('layers = ["window", "window"]', "listed twice"),
        ('layers = ["window"]\nfolder = "/tmp"', "'folder'"),
        ('layers = ["classic"]\nclassic = {memory = "ConversationGraph"}', "ConversationKGMemory"),
    ],
)
def test_what_cannot_be_a_layer_is_refused_at_the_start(
    tmp_path: Path,
    store: RedisStore,
    embedder: StaticEmbedder,
    profile: str,
    named: str,
) -> None:
    (tmp_path / "my_memories.py").write_text(_MODULE)
    (tmp_path / "mine.toml").write_text(f"[profiles.mine]\n{profile}\n")
    with pytest.raises(ConfigurationError) as caught:
        build_layers(
            load_profiles(tmp_path / "mine.toml")["mine"], Sources(store, embedder), name="mine"
        )
    assert named in str(caught.value)


def test_a_service_with_such_a_layer_does_not_start_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[profiles.mine]\nlayers = ["my_memories.Missing"]\n')
    chosen = environment(ONIONSKIN_PROFILES=str(tmp_path / "mine.toml"))
    done = run_command(["serve", "--port", "0"], environment=chosen, folder=tmp_path)
    assert done.returncode != 0
    assert "my_memories" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_current_folder_holds_modules_too(model: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "my_memories.py").write_text(_MODULE)
    (tmp_path / "random.py").write_text("raise RuntimeError('the wrong random')")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.toml").write_text('[profiles.mine]\nlayers = ["my_memories.FirstAndLast"]\n')
    settings = {"ONIONSKIN_PROFILES": str(elsewhere / "mine.toml")}
    with running_backend(model, tmp_path / "data", **settings) as backend:
        answer = backend.say("gus", "Hello.", profile="mine").raise_for_status().json()
    assert answer["degraded"] == []
    assert [layer["layer"] for layer in answer["memory"]] == ["first-and-last"]
