"""Long texts in conversations: what the next prompt shows of them, at each door."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from onionskin.memory.tokens import count_tokens
from tests.openai_server import OpenAIServer, Request
from tests.service.conftest import Backend, running_backend, serving_model
from tests.services import running_service

_CODE = "".join(f"line_{number} = compute({number})\n" for number in range(550))
_PROSE = "The tenant pays the rent in advance, on the first working day of a month. " * 3000
_MIDDLE = "The deposit is 1,234 marigolds."
_WINDOWED = ["layered", "window", "summary", "custom", "classic-buffer"]


def _contract(length: int, filler: str = _PROSE) -> str:
    half = (length - len(_MIDDLE) - 40) // 2
    return f"FIRST WORDS {filler[:half]} {_MIDDLE} {filler[:half]} LAST WORDS"


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with serving_model() as server:
        yield server


@pytest.fixture(scope="module")
def backend(model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("long")
    profiles = folder / "profiles.toml"
    profiles.write_text('[profiles.custom]\nlayers = ["facts", "window", "vector"]\n')
    with (
        running_service(
            folder / "data",
            ONIONSKIN_MODEL="openai:test-model",
            ONIONSKIN_MODEL_BASE_URL=model.base_url,
            OPENAI_API_KEY="key",
            ONIONSKIN_PROFILES=str(profiles),
            ONIONSKIN_LONGEST_MESSAGE="250000",
        ) as service,
        service.client() as client,
    ):
        yield Backend(service, client, model)


def _shown(request: Request) -> str:
    """The whole prompt before the user's message."""
    return "\n".join(text for _, text in request.messages[:-1])


def _answering(model: OpenAIServer, answers: dict[str, str]) -> list[Request]:
    """Script the model by the last words of its prompt; the prompts of those questions."""
    asked: list[Request] = []

    def reply(request: Request) -> str:
        for question, answer in answers.items():
            if request.messages[-1][1].endswith(question):
                asked.append(request)
                return answer
        return "Noted."

    model.reply = reply
    return asked


@pytest.mark.parametrize("profile", _WINDOWED)
def test_a_long_answer_is_whole_in_the_next_prompt(backend: Backend, profile: str) -> None:
    user = f"code-{profile}"
    asked = _answering(backend.model, {"Write it.": _CODE, "Change the last line.": "Done."})
    backend.say(user, "Write it.", profile=profile).raise_for_status()
    answer = backend.say(user, "Change the last line.", profile=profile).json()
    assert _CODE.strip() in _shown(asked[-1])
    assert answer["degraded"] == []


@pytest.mark.parametrize("profile", _WINDOWED)
@pytest.mark.parametrize("length", [12_300, 32_000])
def test_a_pasted_text_is_whole_in_the_next_prompt(
    backend: Backend, profile: str, length: int
) -> None:
    user, text = f"paste-{profile}-{length}", _contract(length)
    asked = _answering(backend.model, {"LAST WORDS": "Read.", "Who pays?": "The tenant."})
    backend.say(user, text, profile=profile).raise_for_status()
    assert asked[0].messages[-1][1].endswith(text)
    answer = backend.say(user, "Who pays?", profile=profile).json()
    assert text in _shown(asked[-1])
    assert answer["degraded"] == []
    context = backend.client.post(
        f"/v1/users/{user}/context", json={"message": "Who?", "profile": profile}
    ).json()
    assert text in backend.transcript(user)
    assert sum(len(one["content"]) for one in context["prompt"]) < 2 * length + 5000


@pytest.mark.parametrize(
    "filler", [_PROSE, "x" * 200_000, "吾輩は猫である。" * 30_000, json.dumps(["a"] * 60_000)]
)
@pytest.mark.parametrize("profile", ["layered", "window", "summary"])
def test_of_a_longer_text_head_and_tail_are_shown_and_the_answer_says_so(
    backend: Backend, profile: str, filler: str
) -> None:
    user, text = f"huge-{profile}-{hash(filler)}", _contract(200_000, filler)
    asked = _answering(backend.model, {"LAST WORDS": "Read.", "How does it end?": "So."})
    backend.say(user, text, profile=profile).raise_for_status()
    answer = backend.say(user, "How does it end?", profile=profile).json()
    shown = _shown(asked[-1])
    assert "FIRST WORDS" in shown
    assert "LAST WORDS" in shown
    assert " characters omitted ...]" in shown
    assert 11_000 < count_tokens(shown) < 16_000
    assert "shortened_messages" in answer["degraded"]
    shortened = [one for layer in answer["memory"] for one in layer["shortened"]]
    assert shortened == [f"{answer['session_id']}:0"]
    stored = backend.transcript(user)
    assert text in stored


def test_a_long_text_before_the_newest_exchange_is_shown_shortened(backend: Backend) -> None:
    asked = _answering(backend.model, {"Write it.": _CODE, "Thanks.": "Sure.", "Again?": "Yes."})
    for message in ("Write it.", "Thanks.", "Again?"):
        answer = backend.say("thanks", message).raise_for_status().json()
    shown = [text for _, text in asked[-1].messages]
    assert shown[1] == "Write it."
    assert shown[2].startswith(_CODE[:1000])
    assert shown[2].strip().endswith(_CODE.strip()[-1000:])
    assert "characters omitted" in shown[2]
    assert "shortened_messages" in answer["degraded"]


def test_a_new_session_carries_the_end_of_a_long_exchange(backend: Backend) -> None:
    asked = _answering(backend.model, {"Write it.": _CODE, "And now?": "Now."})
    session = backend.say("carry", "Write it.").raise_for_status().json()["session_id"]
    backend.client.post(f"/v1/users/carry/sessions/{session}/close").raise_for_status()
    answer = backend.say("carry", "And now?").raise_for_status().json()
    assert answer["new_session"]
    shown = _shown(asked[-1])
    assert "line_0 = compute(0)" in shown
    assert _CODE.strip().splitlines()[-1] in shown
    assert "shortened_messages" in answer["degraded"]


def test_openai_clients_get_the_newest_exchange_from_the_window(backend: Backend) -> None:
    asked = _answering(backend.model, {"Write it.": _CODE, "Change the last line.": "Done."})
    history = [{"role": "user", "content": "Write it."}]
    for _ in range(2):
        body = {"model": "layered", "user": "protocol", "messages": history}
        answer = backend.client.post("/v1/chat/completions", json=body).raise_for_status().json()
        history += [
            answer["choices"][0]["message"],
            {"role": "user", "content": "Change the last line."},
        ]
    assert _CODE.strip() in "\n".join(text for _, text in asked[-1].messages)


def test_a_flood_of_messages_keeps_the_window_within_its_budget(backend: Backend) -> None:
    asked = _answering(backend.model, {"next": _PROSE[:9000], "Last one.": "Yes."})
    for number in range(5):
        backend.say("flood", f"{number} next", profile="window").raise_for_status()
    backend.say("flood", "Last one.", profile="window").raise_for_status()
    assert _PROSE[:9000].strip() in asked[-1].messages[-2][1]
    assert count_tokens(_shown(asked[-1])) < 2300 + 3000 + 500


def _document(characters: int) -> str:
    """Sentences about nothing, with one about a machine in the middle."""
    topics = ("river", "stone", "candle", "orchard", "violin", "harbour", "lantern", "meadow")
    sentences = [
        f"The {topics[number % 8]} of the {topics[number * 3 % 7]} number {number} is quiet."
        for number in range(characters // 48)
    ]
    sentences.insert(len(sentences) // 2, "The espresso machine has serial number QX-7781.")
    return " ".join(sentences)


@pytest.mark.parametrize("profile", ["layered", "vector"])
@pytest.mark.parametrize("characters", [6500, 30_000])
def test_a_long_document_is_recalled_in_part_in_a_later_session(
    backend: Backend, profile: str, characters: int
) -> None:
    user, text = f"document-{profile}-{characters}", _document(characters)
    asked = _answering(backend.model, {"is quiet.": "Read.", "espresso machine?": "QX-7781."})
    said = backend.say(user, text, profile=profile).raise_for_status().json()
    for number in range(3):
        session = said["session_id"]
        backend.client.post(f"/v1/users/{user}/sessions/{session}/close").raise_for_status()
        said = backend.say(user, f"Let us talk about tea, part {number}.", profile=profile).json()
    backend.client.post(f"/v1/users/{user}/sessions/{said['session_id']}/close")
    question = "What is the serial number of the espresso machine?"
    answer = backend.say(user, question, profile=profile).raise_for_status().json()
    prompt = "\n".join(content for _, content in asked[-1].messages)
    assert "QX-7781" in prompt
    layer = next(one for one in answer["memory"] if one["layer"] == "vector")
    hit = next(one for one in layer["recalled"] if "QX-7781" in one["content"])
    assert layer["tokens"] <= 1200
    assert "characters omitted" in hit["content"]
    assert all(text[start:end].strip() in hit["content"] for start, end in hit["spans"])
    assert hit["parts"]
    page = backend.client.get(f"/v1/users/{user}/{hit['full_text']}").json()
    assert [one["content"] for one in page["messages"]] == [text]
    trace = backend.client.get(f"/v1/users/{user}/turns/{answer['turn_id']}").json()
    shown = [hit for layer in trace["shown"] for hit in layer["recalled"]]
    assert [one["spans"] for one in shown if one["id"] == hit["id"]] == [hit["spans"]]
    session_id = hit["session_id"]
    backend.client.delete(f"/v1/users/{user}/sessions/{session_id}").raise_for_status()
    again = backend.say(user, f"Again: {question}", profile=profile).json()
    recalled = [one for layer in again["memory"] for one in layer["recalled"]]
    assert session_id not in {one["session_id"] for one in recalled}


def test_a_small_model_gets_prompts_that_fit_its_window(
    model: OpenAIServer, tmp_path: Path
) -> None:
    with (
        running_backend(model, tmp_path / "data", ONIONSKIN_MODEL_CONTEXT="4096") as backend,
    ):
        asked = _answering(model, {"LAST WORDS": "Read.", "Well?": "Yes."})
        for number in range(4):
            backend.say("small", _contract(20_000 + number)).raise_for_status()
        answer = backend.say("small", "Well?").raise_for_status().json()
        for request in asked:
            assert sum(count_tokens(text) for _, text in request.messages) < 3072
        assert "FIRST WORDS" in _shown(asked[-1])
        assert "LAST WORDS" in _shown(asked[-1])
        assert "shortened_messages" in answer["degraded"]
