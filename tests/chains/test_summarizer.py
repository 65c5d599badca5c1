"""Summaries by a model of scripted answers: what is no summary never replaces one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest

from onionskin.chains.errors import ModelError
from onionskin.chains.generation import Generator, TimedModel
from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.chains.summarizer import Summarizer
from onionskin.memory.store import RedisStore
from onionskin.memory.summarization import SummaryPolicy
from onionskin.memory.types.messages import Message, SummaryState, User
from tests.openai_server import Fault, OpenAIServer

_POLICY = SummaryPolicy(keep_pairs=0, messages=0, tokens=0)
_GOOD = "The user lives in Porto with Rex."


@dataclass
class _Session:
    """A session of a real store, and the summarizer of its model."""

    store: RedisStore
    summarizer: Summarizer
    server: OpenAIServer
    user: User
    id: str = ""

    async def say(self, *texts: str) -> None:
        fresh = not self.id
        snapshot = await self.store.transcripts.load_turn(
            self.user, self.id or None, now=1.0, since=None, fresh=fresh
        )
        pairs = [(Message("user", text, 1.0), None) for text in texts]
        committed = await self.store.transcripts.commit(
            self.user, snapshot.session, pairs, create=fresh
        )
        self.id = committed.session_id

    async def summarize(self, answer: str) -> SummaryState:
        self.server.reply = lambda _: answer
        await self.summarizer.summarize(self.user, self.id, _POLICY)
        return await self.state()

    async def state(self) -> SummaryState:
        return (await self.store.sessions.get(self.user, self.id)).summary_state


@pytest.fixture
async def session(store: RedisStore, user: User) -> AsyncIterator[_Session]:
    async with (
        OpenAIServer() as server,
        open_model(ModelOptions("test-model", server.base_url, retries=0)) as model,
    ):
        generator = Generator(TimedModel(model, timedelta(seconds=5)))
        session = _Session(store, Summarizer(store, generator), server, user)
        await session.say("I live in Porto.", "My dog is called Rex.")
        assert (await session.summarize(_GOOD)).summary == _GOOD
        await session.say("I work in Gent.")
        yield session


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, I can't help with that.",
        "Es tut mir leid, dabei kann ich nicht helfen.",
        "抱歉，我无法协助处理这个请求。",  # noqa: RUF001
        "<think>\nThe lines say that the user works in",
        "<think>Hm.</think>\n<summary>\n</summary>",
        "```\n```",
    ],
)
async def test_a_refusal_keeps_the_last_summary_and_its_lines_wait(
    session: _Session, answer: str
) -> None:
    before = await session.state()
    with pytest.raises(ModelError, match="previous one is kept"):
        await session.summarize(answer)
    assert await session.state() == before
    assert (await session.summarize(f"{_GOOD} They work in Gent.")).summarized_upto == 3


async def test_a_refusal_in_its_own_field_and_a_filtered_answer_are_no_summaries(
    session: _Session,
) -> None:
    before = await session.state()
    for message, reason in (
        ({"content": None, "refusal": "I can't."}, "stop"),
        ({"content": "They live in"}, "content_filter"),
    ):
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        answer = {"id": "a", "object": "chat.completion", "created": 0, "model": "m"}
        body = msgspec.json.encode({**answer, "choices": [choice]})
        session.server.faults.append(Fault(body=body))
        with pytest.raises(ModelError):
            await session.summarize(_GOOD)
    assert await session.state() == before


async def test_one_call_is_made_for_each_refusal(session: _Session) -> None:
    before = len(session.server.requests)
    with pytest.raises(ModelError):
        await session.summarize("I'm sorry, I can't.")
    assert len(session.server.requests) == before + 1


@pytest.mark.parametrize(
    "wrapped",
    [
        "<summary>\n{}\n</summary>",
        "<think>\nHm.\n</think>\n\nHere is the updated summary:\n\n{}",
        "```markdown\n{}\n```",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{}",
    ],
)
async def test_only_the_summary_of_an_answer_is_stored_and_shown_to_the_next_call(
    session: _Session, wrapped: str
) -> None:
    new = "The user lives in Porto and works in Gent."
    assert (await session.summarize(wrapped.format(new))).summary == new
    await session.say("I like tea.")
    await session.summarize(new)
    prompt = session.server.requests[-1].messages[-1][1]
    assert prompt.startswith(f"<summary>\n{new}\n</summary>\n<new_lines>")
