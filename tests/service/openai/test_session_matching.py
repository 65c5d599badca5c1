"""Which session a resent conversation goes on with: the rules of docs/openai.md."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam as Param

from tests.openai_faults import Fault
from tests.service.conftest import Backend
from tests.service.openai.sdk_calls import (
    answer_of,
    ask,
    asked_last,
    from_assistant,
    from_user,
    transcripts,
)


def _talk(client: OpenAI, user: str, *texts: str) -> list[Param]:
    """A conversation as a front-end has it: its whole history, sent with each message."""
    history: list[Param] = []
    for text in texts:
        history.append(from_user(text))
        history.append(from_assistant(answer_of(client, user, *history)))
    return history


def _texts(*said: Param) -> list[str]:
    return [str(one.get("content")) for one in said]


def test_each_conversation_of_a_front_end_is_a_session(client: OpenAI, backend: Backend) -> None:
    one = _talk(client, "c1", "The first, of boats.", "Go on.")
    two = _talk(client, "c1", "The second, of bees.")
    one = [*one, from_user("Back to boats."), from_assistant("")]
    one[-1] = from_assistant(answer_of(client, "c1", *one[:-1]))
    assert transcripts(backend, "c1") == [_texts(*one), _texts(*two)]


def test_two_conversations_that_begin_alike_stay_two(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "Hello!"
    ends = ("Of boats.", "Of bees.")
    for end in ends:
        _talk(client, "c2", "Hi.", end)
    stored = transcripts(backend, "c2")
    assert [one[2] for one in stored if len(one) == 4] == ["Of bees.", "Of boats."]


def _prompt(backend: Backend) -> str:
    return json.dumps(asked_last(backend)["messages"])


def _all_messages(backend: Backend, user: str) -> list[str]:
    """Everything in a user's only session, replaced messages included."""
    (session,) = backend.sessions(user)
    url = f"/v1/users/{user}/sessions/{session['session_id']}/messages"
    page = backend.client.get(url, params={"limit": 200, "abandoned": True}).json()
    return [one["content"] for one in page["messages"]]


def test_an_edited_message_replaces_what_followed(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "Noted."
    history = _talk(client, "c3", "I have a pet.", "My dog is called Rex.", "He likes walks.")
    edited = [*history[:2], from_user("My dog is called Max.")]
    edited.append(from_assistant(answer_of(client, "c3", *edited)))
    assert "Rex" not in _prompt(backend)
    edited.append(from_user("What is my dog called?"))
    edited.append(from_assistant(answer_of(client, "c3", *edited)))
    assert "Rex" not in _prompt(backend)
    assert transcripts(backend, "c3") == [_texts(*edited)]
    assert set(_texts(*history)) < set(_all_messages(backend, "c3"))
    ask(client, "c3", from_user("What is my dog called? Does he like walks?"))
    assert "Max" in _prompt(backend)
    assert "Rex" not in _prompt(backend)
    assert "He likes walks" not in _prompt(backend)


@pytest.mark.parametrize("named", [True, False])
def test_an_edited_first_message_replaces_although_the_rest_is_sent_again(
    client: OpenAI, backend: Backend, named: bool
) -> None:
    user = f"edit-first-{named}"
    backend.model.reply = lambda _: "Noted."
    history = _talk(client, user, "My dog is called Rex.", "He is brown.")
    (session,) = backend.sessions(user)
    history[0] = from_user("My dog is called Max.")
    headers = {"X-Session-Id": session["session_id"]} if named else {}
    client.with_options(default_headers=headers).chat.completions.create(
        model="layered", user=user, messages=[*history, from_user("What is he called?")]
    )
    assert "Rex" not in _prompt(backend)
    assert len(backend.sessions(user)) == 1
    assert transcripts(backend, user)[0][0] == "My dog is called Max."
    assert "My dog is called Rex." in _all_messages(backend, user)


def test_a_conversation_from_elsewhere_with_the_same_answers_is_one_of_its_own(
    client: OpenAI, backend: Backend
) -> None:
    backend.model.reply = lambda _: "Noted."
    _talk(client, "elsewhere", "My dog is called Rex.", "He is brown.")
    foreign = [from_user("The tax office wants a form."), from_assistant("Noted.")]
    ask(client, "elsewhere", *foreign, from_user("Which form?"))
    assert len(backend.sessions("elsewhere")) == 2


def test_six_regenerations_leave_one_session_with_one_answer(
    client: OpenAI, backend: Backend
) -> None:
    history = _talk(client, "c3b", "One.", "Two.", "Three.")
    again = [*history, from_user("Name a colour.")]
    for number in range(7):
        backend.model.reply = lambda _, number=number: f"Colour {number}."
        answer_of(client, "c3b", *again)
    assert transcripts(backend, "c3b") == [[*_texts(*again), "Colour 6."]]
    assert len(backend.sessions("c3b")) == 1
    assert len(_all_messages(backend, "c3b")) == 6 + 7 * 2
    ask(client, "c3b", from_user("Which colour?"))
    prompt = _prompt(backend)
    assert [f"Colour {number}." in prompt for number in range(7)] == [False] * 6 + [True]


def test_a_client_that_returns_to_an_earlier_branch_restores_it(
    client: OpenAI, backend: Backend
) -> None:
    backend.model.reply = lambda _: "Noted."
    rex = _talk(client, "c3c", "I have a pet.", "My dog is called Rex.", "He likes walks.")
    cat = [*rex[:2], from_user("My cat is called Tom.")]
    cat.append(from_assistant(answer_of(client, "c3c", *cat)))
    rex += [
        from_user("He is old."),
        from_assistant(answer_of(client, "c3c", *rex, from_user("He is old."))),
    ]
    assert transcripts(backend, "c3c") == [_texts(*rex)]
    assert len(_all_messages(backend, "c3c")) == 6 + 2 + 2
    cat += [
        from_user("She is young."),
        from_assistant(answer_of(client, "c3c", *cat, from_user("She is young."))),
    ]
    assert transcripts(backend, "c3c") == [_texts(*cat)]
    assert len(_all_messages(backend, "c3c")) == 6 + 2 + 2 + 2
    ask(client, "c3c", from_user("How old is my pet?"))
    assert "Tom" in _prompt(backend)
    assert "Rex" not in _prompt(backend)


def test_chats_that_begin_alike_do_not_replace_each_other(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "Hello!"
    one = _talk(client, "c3d", "Hi.", "My boat is red.", "And fast.")
    two = _talk(client, "c3d", "Hi.", "My bees are calm.", "And many.")
    start = [from_user("Hi."), from_assistant("Hello!")]
    edited = [*start, from_user("My house is old.")]  # of either chat: nobody knows which
    edited.append(from_assistant(answer_of(client, "c3d", *edited)))
    stored = transcripts(backend, "c3d")
    assert sorted(stored) == sorted([_texts(*one), _texts(*two), _texts(*edited)])
    again = [*start, from_user("My bees are calm.")]  # regenerated: only one chat has it
    backend.model.reply = lambda _: "How nice."
    again.append(from_assistant(answer_of(client, "c3d", *again)))
    stored = transcripts(backend, "c3d")
    assert sorted(stored) == sorted([_texts(*one), _texts(*again), _texts(*edited)])


def test_a_first_message_alone_is_a_new_chat(client: OpenAI, backend: Backend) -> None:
    for _ in range(3):
        ask(client, "c3e", from_user("Hi."))
    assert [len(one) for one in transcripts(backend, "c3e")] == [2, 2, 2]


@pytest.mark.parametrize(
    "more",
    [
        {"extra_headers": {"X-OpenWebUI-Chat-Id": "chat-1"}},
        {"extra_headers": {"X-Conversation-Id": "chat-1"}},
        {"metadata": {"chat_id": "chat-1"}},
    ],
)
def test_a_chat_with_an_id_is_one_session(
    client: OpenAI, backend: Backend, more: dict[str, Any]
) -> None:
    user = f"c3f-{next(iter(more))}-{next(iter(next(iter(more.values()))))}"
    backend.model.reply = lambda _: "Hello!"
    other = _talk(client, user, "Hi.", "My boat is red.")
    history = [from_user("Hi.")]
    for _ in range(3):  # the first answer, regenerated twice
        answer_of(client, user, *history, **more)
    history += [from_assistant("Hello!"), from_user("My bees are calm.")]
    history.append(from_assistant(answer_of(client, user, *history, **more)))
    edited = [*history[:2], from_user("My bees are wild.")]
    edited.append(from_assistant(answer_of(client, user, *edited, **more)))
    assert transcripts(backend, user) == [_texts(*edited), _texts(*other)]


def test_an_edited_first_message_of_open_webui_replaces_the_chat(
    client: OpenAI, backend: Backend
) -> None:
    backend.model.reply = lambda _: "Noted."
    named: Any = {"extra_headers": {"X-OpenWebUI-Chat-Id": "chat-2"}}
    history = [from_user("My dog is called Rex.")]
    history.append(from_assistant(answer_of(client, "c3g", *history, **named)))
    edited = [from_user("My dog is called Max.")]
    edited.append(from_assistant(answer_of(client, "c3g", *edited, **named)))
    edited += [from_user("What is my dog called?")]
    edited.append(from_assistant(answer_of(client, "c3g", *edited, **named)))
    assert "Rex" not in _prompt(backend)
    assert transcripts(backend, "c3g") == [_texts(*edited)]


def test_chat_ids_of_two_users_are_two_chats(client: OpenAI, backend: Backend) -> None:
    named: Any = {"extra_headers": {"X-OpenWebUI-Chat-Id": "chat-3"}}
    for user in ("c3h", "c3i"):
        ask(client, user, from_user(f"I am {user}."), **named)
    assert [transcripts(backend, user)[0][0] for user in ("c3h", "c3i")] == [
        "I am c3h.",
        "I am c3i.",
    ]
    assert "c3h" not in _prompt(backend)


def test_a_message_that_was_not_answered_is_stored_once_when_it_is_sent_again(
    client: OpenAI, backend: Backend
) -> None:
    for said in ([from_user("My dog is called Rex.")], None):
        history = said or [*_talk(client, "c3k", "Hello."), from_user("My cat is called Tom.")]
        user = "c3j" if said else "c3k"
        backend.model.faults.append(Fault(status=500, purpose="completions"))
        with pytest.raises(openai.InternalServerError):
            ask(client, user, *history)
        answer = answer_of(client, user, *history)
        assert transcripts(backend, user) == [[*_texts(*history), answer]]


def test_an_answer_that_was_stopped_is_taken_up(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c4", "One.")
    stopped = [*history, from_user("Tell me all."), from_assistant("It all beg")]
    stopped.append(from_user("Shorter, please."))
    stopped.append(from_assistant(answer_of(client, "c4", *stopped)))
    assert transcripts(backend, "c4") == [_texts(*stopped)]


def test_an_answer_that_the_client_changed_is_what_counts(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c5", "One.", "Two.")
    changed = [*history[:3], from_assistant("What I would have said."), from_user("Three.")]
    changed.append(from_assistant(answer_of(client, "c5", *changed)))
    assert transcripts(backend, "c5") == [_texts(*changed)]


def test_blanks_at_the_ends_of_messages_do_not_matter(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "An answer.\n\n"
    _talk(client, "c6", "A question. ")
    trimmed = [from_user("A question."), from_assistant("An answer.")]
    ask(client, "c6", *trimmed, from_user("Another."))
    assert [len(one) for one in transcripts(backend, "c6")] == [4]


def test_a_closed_session_goes_on_as_its_copy(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c7", "One.")
    session = backend.sessions("c7")[0]["session_id"]
    backend.client.post(f"/v1/users/c7/sessions/{session}/close").raise_for_status()
    history.append(from_user("Still there?"))
    history.append(from_assistant(answer_of(client, "c7", *history)))
    history.append(from_user("And now?"))
    history.append(from_assistant(answer_of(client, "c7", *history)))
    assert transcripts(backend, "c7") == [_texts(*history), _texts(*history[:2])]
    with pytest.raises(openai.ConflictError) as caught:
        ask(client, "c7", from_user("By name?"), extra_headers={"X-Session-Id": session})
    assert caught.value.code == "session_closed"


def test_a_client_that_names_the_session_and_edits_replaces(
    client: OpenAI, backend: Backend
) -> None:
    history = _talk(client, "c8", "One.", "Two.")
    named = {"X-Session-Id": backend.sessions("c8")[0]["session_id"]}
    edited = [*history[:2], from_user("Two, but other.")]
    edited.append(from_assistant(answer_of(client, "c8", *edited, extra_headers=named)))
    edited.append(from_user("On."))
    edited.append(from_assistant(answer_of(client, "c8", *edited, extra_headers=named)))
    assert transcripts(backend, "c8") == [_texts(*edited)]


def test_pictures_and_calls_of_tools_in_a_history_are_recognised(
    client: OpenAI, backend: Backend
) -> None:
    picture: Any = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    }
    first = answer_of(client, "c9", picture)
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    tools: list[Any] = [
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]
    history: list[Param] = [picture, from_assistant(first), from_user("How late is it?"), *tools]
    history.append(from_assistant(answer_of(client, "c9", *history)))
    ask(client, "c9", *history, from_user("Thanks."))
    (stored,) = transcripts(backend, "c9")
    assert stored[0] == "(see attachment)"
    assert stored[2] == "How late is it?"
    assert stored[3] == "Let me look."
    assert len(stored) == 7


def test_instructions_of_the_client_stand_first_and_are_not_stored(
    client: OpenAI, backend: Backend
) -> None:
    rule: Any = {"role": "system", "content": "Speak like a pirate."}
    ask(client, "c10", rule, from_user("Hello."))
    first = asked_last(backend)["messages"][0]
    assert first["role"] == "system"
    assert first["content"].startswith("Speak like a pirate.\n\nYou are a helpful assistant")
    assert "pirate" not in json.dumps(transcripts(backend, "c10"))


def test_a_name_that_is_no_session_is_refused(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c11", "One.")
    for name in ("s_0123456789abcdef", "mine", "../c1"):
        with pytest.raises(openai.NotFoundError) as caught:
            ask(client, "c11", *history, from_user("?"), extra_headers={"X-Session-Id": name})
        assert caught.value.code == "unknown_session"
    ask(client, "c11", *history, from_user("?"), prompt_cache_key="a key of the cache alone")
    assert [len(one) for one in transcripts(backend, "c11")] == [4]


def test_a_conversation_of_long_ago_is_found_again(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c12", "The oldest.")
    for number in range(12):
        _talk(client, "c12", f"Another, {number}.")
    ask(client, "c12", *history, from_user("Do you remember?"))
    stored = transcripts(backend, "c12")
    assert len(stored) == 13
    assert stored[0][0] == "The oldest."
    assert len(stored[0]) == 4
