"""What front ends and libraries send that their user did not say, and what only looks like it."""

import json
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from onionskin.service.openai.front_ends import front_ends, without_note
from tests.service.conftest import Backend
from tests.service.openai.sdk_calls import (
    answer_of,
    ask,
    asked_last,
    from_assistant,
    from_user,
    transcripts,
)

_TALK: list[Any] = [from_user("My dog is called Rex."), from_assistant("A fine name.")]
_LINES = "USER: My dog is called Rex.\nASSISTANT: A fine name."
_CHAT = f"<chat_history>\n{_LINES}\n</chat_history>"


def _system(text: str) -> Any:
    return {"role": "system", "content": text}


_JOBS: dict[str, list[Any]] = {
    "Open WebUI's title": [from_user(f"### Task:\nGenerate a title.\n### Chat History:\n{_CHAT}")],
    "Open WebUI's compaction": [
        from_user(
            "### Task:\nSummarize what will be compacted.\n\n### Previous Summary:\n\n"
            f"### Messages Being Compacted:\n{_LINES}"
        )
    ],
    "a template of one's own": [from_user(f"### Task:\nName the mood.\n\n{_LINES}")],
    "a template of one's own for one message": [
        from_user("### Task:\nReply with one emoji.\n\nMessage: ```My dog is called Rex.```")
    ],
    "a template with other headings": [
        from_user("### Task:\nMake a haiku of it.\n### Guidelines:\nBe brief.\n### Output:\nJSON")
    ],
    "Open WebUI's emoji": [
        from_user(
            "Your task is to reflect the speaker's likely facial expression through a fitting "
            "emoji.\n\nMessage: ```My dog is called Rex.```"
        )
    ],
    "Open WebUI's merged responses": [
        from_user(
            "You have been provided with a set of responses from various models to the latest user "
            'query: "My dog?"\n\nResponses from models: "Rex", "Max"'
        )
    ],
    "Open WebUI's tools": [
        _system(
            'Available Tools: [{"name": "clock"}]\n\nYour task is to choose and return the correct '
            "tool(s) from the list of available tools based on the query."
        ),
        from_user("Query: How late is it?"),
    ],
    "LibreChat's title": [
        from_user("Provide a concise, 5-word-or-less title for the conversation, in title case.")
    ],
    "NextChat's title": [
        *_TALK,
        from_user(
            "Please generate a four to five word title summarizing our conversation without any "
            "lead-in, punctuation or symbols."
        ),
    ],
    "NextChat's title in Chinese": [
        *_TALK,
        from_user("使用四到五个字直接返回这句话的简要主题，不要解释"),  # noqa: RUF001
    ],
    "NextChat's summary": [
        *_TALK,
        _system(
            "Summarize the discussion briefly in 200 words or less to use as a prompt for future "
            "context."
        ),
    ],
    "HF chat-ui's title": [
        _system("You are a chat thread titling assistant.\nGoal: a short title."),
        from_user('User message: "My dog is called Rex."'),
    ],
    "HF chat-ui's older title": [
        _system("You are a summarization AI. You'll never answer a user's question directly."),
        *_TALK,
        from_user("My dog is called Rex."),
    ],
    "Vercel's title": [
        _system(
            "\n\n    - you will generate a short title based on the first message a user begins a "
            "conversation with\n    - at most 80 characters"
        ),
        from_user('{"role":"user","parts":[{"type":"text","text":"My dog is called Rex."}]}'),
    ],
    "Vercel's newer title": [
        _system("Generate a very short chat title (2-5 words max) based on the user's message.\n"),
        from_user("My dog is called Rex."),
    ],
    "LobeChat's title": [
        _system("You are a professional conversation summarizer. Generate a concise title."),
        from_user("user: My dog is called Rex."),
    ],
    "Cherry Studio's title": [
        _system(
            "You are an assistant skilled in conversation. You need to summarize the user's "
            "conversation into a title within 10 words."
        ),
        from_user("My dog is called Rex."),
    ],
    "big-AGI's title": [
        _system(
            "You are an AI conversation titles assistant who specializes in creating expressive "
            "yet few-words chat titles."
        ),
        from_user("Analyze the given short conversation.\n```\n- You: My dog is called Rex.\n```"),
    ],
    "LangChain's SummarizationMiddleware": [
        from_user(
            "<role>\nContext Extraction Assistant\n</role>\n\n<primary_objective>\nExtract.\n"
            f"</primary_objective>\n\n<messages>\nMessages to summarize:\n{_LINES}\n</messages>"
        )
    ],
    "LangChain's ConversationSummaryMemory": [
        from_user(
            "Progressively summarize the lines of conversation provided, adding onto the previous "
            f"summary returning a new summary.\n\nNew lines of conversation:\n{_LINES}"
        )
    ],
}


@pytest.mark.parametrize("name", _JOBS)
def test_a_job_is_answered_without_memory_and_not_stored(
    client: OpenAI, backend: Backend, name: str
) -> None:
    ask(client, "j1", from_user("My cat is called Tom."))
    before = transcripts(backend, "j1")
    answer_of(client, "j1", *_JOBS[name])
    assert asked_last(backend)["messages"] == _JOBS[name]
    assert transcripts(backend, "j1") == before


_WORDS = [
    "Summarize our conversation so far.",
    "Please generate a four to five word title for my essay on dogs.",
    "Please generate a title summarizing our conversation.",
    "Summarize the discussion briefly.",
    "Generate a very short chat title, for instance 'Rex'.",
    "### Task: walk the dog",
    "### Task:\nWrite a poem about my dog Rex.",
    "# Task:\nSummarize this chat history: none.",
    "### Tasks:\n- feed Rex\n### Guidelines:\n- twice a day",
    "My template begins with ### Task: and has <chat_history>.",
    f"What does this mean?\n### Task:\nGenerate a title.\n{_CHAT}",
    "You have been provided with a set of tools. Which one fits?",
    "Your task is to guess my dog's name.",
    "You are a title generator. Name my book about Rex.",
    "You are a chat thread titling assistant: what would that be?",
    "Create a concise summary of my dog's day.",
    "Progressively, my dog learns tricks.",
    "Here is the query: SELECT name FROM dogs. Is it right?",
    "Analyze this conversation and provide a summary.",
    "Correct your JSON, please: the name is Rex.",
    "Validation error found in my form: the name is Rex. What now?",
    "Here is a summary of the conversation I had with my vet: Rex is well.",
    "Is [[ ## name ## ]] a template of DSPy?",
    "<attached_files> is a tag that I see in my prompts. What is it?",
    "<source> elements need a type, do they not?",
    "Why does <context>this</context> not show?",
]


@pytest.mark.parametrize("text", _WORDS)
def test_words_of_the_user_that_resemble_a_job_are_stored_as_they_are(
    client: OpenAI, backend: Backend, text: str
) -> None:
    before = len(transcripts(backend, "j2"))
    ask(client, "j2", from_user(text))
    stored = transcripts(backend, "j2")
    assert len(stored) == before + 1
    assert stored[0][0] == text
    ask(client, "j2", *_TALK, from_user(text))
    assert transcripts(backend, "j2")[0][-2] == text


def test_a_job_s_opening_in_a_conversation_is_a_message(client: OpenAI, backend: Backend) -> None:
    text = f"### Task:\nGenerate a title.\n{_CHAT}"
    ask(client, "j3", *_TALK, from_user(text))
    assert backend.transcript("j3")[2] == text


_FILES = (
    '<attached_files>\n<file type="file" url="f1" name="contract.pdf"/>\n'
    '<file type="file" url="f2" name="plan.txt" content_type="text/plain"/>\n</attached_files>'
)
_DOCUMENTS = (
    "### Task:\nRespond to the user query using the provided context, with citations "
    '(<source id="1">).\n\n### Guidelines:\n- Be exact.\n\n<context>\n'
    '<source id="1" name="contract.pdf">Rent is due </context> monthly.</source>\n</context>'
)


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        (f"{_FILES}\n\nWhat is this?", "What is this?\n(attached: contract.pdf, plan.txt)"),
        (f"What is this?\n\n{_FILES}", "What is this?\n(attached: contract.pdf, plan.txt)"),
        (
            [{"type": "text", "text": f"{_FILES}\n\n"}, {"type": "text", "text": "What is this?"}],
            "What is this?\n(attached: contract.pdf, plan.txt)",
        ),
        (_FILES, "(attached: contract.pdf, plan.txt)"),
        ("<attached_files></attached_files>", "(see attachment)"),
        (f"{_DOCUMENTS}\n\nWhen is rent due?", "When is rent due?\n(attached: contract.pdf)"),
        (
            f"{_DOCUMENTS}\n\n<user_query>\nWhen is rent due?\n</user_query>\n",
            "When is rent due?\n(attached: contract.pdf)",
        ),
        (
            f"{_DOCUMENTS}\n<user_query>When?</user_query>\nWhen is rent due?",
            "When is rent due?\n(attached: contract.pdf)",
        ),
        (
            f"{_FILES}\n\n{_DOCUMENTS}\n\nWhen is rent due?",
            "When is rent due?\n(attached: contract.pdf, plan.txt)",
        ),
    ],
)
def test_attachments_reach_the_model_and_are_stored_as_a_note(
    client: OpenAI, backend: Backend, content: Any, stored: str
) -> None:
    before = len(backend.sessions("j4"))
    ask(client, "j4", {"role": "user", "content": content})
    assert transcripts(backend, "j4")[0][0] == stored
    assert len(backend.sessions("j4")) == before + 1
    shown = json.dumps(asked_last(backend)["messages"][-1]["content"])
    assert json.dumps(content)[1:-1] in shown


def test_a_message_is_recognised_later_without_its_attachment(
    client: OpenAI, backend: Backend
) -> None:
    first = answer_of(client, "j5", from_user(f"{_DOCUMENTS}\n\nWhen is rent due?"))
    ask(client, "j5", from_user("When is rent due?"), from_assistant(first), from_user("And then?"))
    (stored,) = transcripts(backend, "j5")
    assert len(stored) == 4


def test_many_blocks_take_no_long_time() -> None:
    text = "<attached_files></attached_files>" * 20_000 + "<file " * 20_000 + " " * 50_000
    assert front_ends().own_words(text)
    assert without_note("(attached: " * 20_000 + ")")


def test_a_retry_of_instructor_is_not_the_user_s_message(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "not JSON"
    said = [_system("Reply in JSON."), from_user("My parrot is called Quixote.")]
    bad = from_assistant(answer_of(client, "j6", *said))
    retry = from_user(
        "Correct your JSON ONLY RESPONSE, based on the following errors:\n1 validation error"
    )
    backend.model.reply = lambda _: '{"name": "Quixote"}'
    good = answer_of(client, "j6", *said, bad, retry)
    assert asked_last(backend)["messages"][-2:] == [bad, retry]
    assert "Correct your JSON" not in json.dumps(transcripts(backend, "j6"))
    ask(client, "j6", *said, from_assistant(good), from_user("Thanks."))
    assert transcripts(backend, "j6")[0][:3] == ["My parrot is called Quixote.", good, "Thanks."]


def test_a_summary_of_langchain_is_not_the_user_s_message(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "Noted."
    talk: list[Any] = []
    for text in ("My flat is in Gent.", "I like tea."):
        talk += [from_user(text), from_assistant(answer_of(client, "j7", *talk, from_user(text)))]
    summary = from_user("Here is a summary of the conversation to date:\n\nThe user has a flat.")
    ask(client, "j7", summary, *talk[2:], from_user("Where is my flat?"))
    assert asked_last(backend)["messages"][-4] == summary
    (stored,) = transcripts(backend, "j7")
    assert stored == ["My flat is in Gent.", "Noted.", "I like tea.", "Noted.", *stored[4:]]
    assert stored[4] == "Where is my flat?"


def test_demonstrations_of_dspy_are_not_stored_and_start_no_sessions(
    client: OpenAI, backend: Backend
) -> None:
    system = _system("Your input fields are:\n1. `question`\n[[ ## question ## ]]\n{question}")
    examples = [
        from_user("[[ ## question ## ]]\nOne?"),
        from_assistant("[[ ## answer ## ]]\nUno.\n\n[[ ## completed ## ]]"),
    ]
    reminder = (
        "Respond with the corresponding output fields, starting with the field "
        "`[[ ## answer ## ]]`, and then ending with the marker for `[[ ## completed ## ]]`."
    )
    backend.model.reply = lambda _: "[[ ## answer ## ]]\nYes.\n\n[[ ## completed ## ]]"
    sent: list[dict[str, Any]] = []
    for question in ("My dog is called Rex.", "What is my dog called?"):
        last: Any = from_user(f"[[ ## question ## ]]\n{question}\n\n{reminder}")
        ask(client, "j8", system, *examples, last)
        sent = asked_last(backend)["messages"]
        assert [one for one in sent if one in examples] == examples
        assert sent[-1]["content"].endswith(str(last["content"]))
    (stored,) = transcripts(backend, "j8")
    assert [one for one in stored if "Uno" in one or "One?" in one or "Respond with" in one] == []
    assert "[[ ## question ## ]]\nMy dog is called Rex." in stored
    assert "My dog is called Rex." in json.dumps(sent)


@pytest.mark.parametrize("stream", [False, True])
def test_a_temporary_turn_is_recalled_for_and_not_stored(
    client: OpenAI, backend: Backend, stream: bool
) -> None:
    user = f"j9-{stream}"
    ask(client, user, from_user("My parrot is called Quixote."))
    before = transcripts(backend, user)
    raw = client.chat.completions.with_raw_response.create(
        model="layered",
        user=user,
        messages=[*_TALK, from_user("What is my parrot called?")],
        extra_headers={"X-Onionskin-Remember": "false"},
        stream=stream,
    )
    reply: Any = raw.parse()
    if stream:
        list(reply)
    assert "X-Session-Id" not in raw.headers
    prompt = json.dumps(asked_last(backend)["messages"])
    assert "Quixote" in prompt
    assert "My dog is called Rex." in prompt
    assert transcripts(backend, user) == before


def test_a_temporary_turn_in_a_stored_conversation_leaves_it_alone(
    client: OpenAI, backend: Backend
) -> None:
    history: list[Any] = [from_user("My dog is called Rex.")]
    history.append(from_assistant(answer_of(client, "j10", *history)))
    before = transcripts(backend, "j10")
    headers = {"X-Onionskin-Remember": "No"}
    ask(client, "j10", *history, from_user("Off the record?"), extra_headers=headers)
    assert json.dumps(asked_last(backend)).count("My dog is called Rex.") == 2  # with its echo
    assert transcripts(backend, "j10") == before
    ask(
        client,
        "j10",
        *history,
        from_user("On the record."),
        extra_headers={"X-Onionskin-Remember": "true"},
    )
    assert [len(one) for one in transcripts(backend, "j10")] == [4]


def test_a_temporary_chat_of_open_webui_is_not_stored(client: OpenAI, backend: Backend) -> None:
    headers = {"X-OpenWebUI-Chat-Id": "local:abc"}
    ask(client, "j11", from_user("My parrot is called Quixote."), extra_headers=headers)
    assert transcripts(backend, "j11") == []


@pytest.mark.parametrize("value", ["maybe", "", "off", "falsch", "2"])
def test_an_invalid_value_of_the_header_is_refused(client: OpenAI, value: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(client, "j12", from_user("Hi."), extra_headers={"X-Onionskin-Remember": value})
    assert "X-Onionskin-Remember" in str(caught.value)
    assert repr(value) in caught.value.message
