"""Window and summary tile the session, whatever fails, lags, dies or runs twice."""

import asyncio
import itertools
import re
import secrets
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onionskin.chains.errors import ModelError
from onionskin.chains.generation import Generator, TimedModel
from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.chains.prompt import build_prompt
from onionskin.chains.summarizer import Summarizer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import TaskRunningError
from onionskin.memory.profiles import Profile, SummaryOptions, WindowOptions
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.types.messages import User
from tests.conftest import make_views
from tests.openai_server import Fault, OpenAIServer, Request

_MARK = re.compile(r"mark\d+")
_PROFILE = Profile(
    layers=("window", "summary"),
    window=WindowOptions(keep_pairs=1, budget_tokens=150),
    summary=SummaryOptions(budget_tokens=4000, fold_messages=2, fold_tokens=80),
)
_ops = st.lists(
    st.sampled_from(
        ["turn", "turn", "long turn", "fold", "two folds", "failed", "killed", "restart"]
    ),
    min_size=1,
    max_size=25,
)


def _marks_as_summary(request: Request) -> str:
    """A model whose summary is all the marks it was shown, so that nothing can hide."""
    return " ".join(_MARK.findall(request.messages[-1][1])) or "nothing"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ops=_ops)
async def test_window_and_summary_tile_the_session(
    ops: list[str], redis_url: str, embedder: StaticEmbedder
) -> None:
    user = User(f"tiling-{secrets.token_hex(8)}")
    async with OpenAIServer() as server:
        server.reply = _marks_as_summary
        options = ModelOptions("test-model", server.base_url, retries=0)
        async with open_model(options) as model:
            connection = Connection(redis_url)
            numbers = itertools.count()
            session_id: str | None = None
            try:
                for op in ops:
                    if op == "restart":
                        await connection.aclose()
                        connection = Connection(redis_url)
                    store = RedisStore(connection, embedder_tag=embedder.tag)
                    memory = CombinedMemory(
                        "test", _PROFILE, store=store, embedder=embedder, indexes=make_views(store)
                    )
                    generator = Generator(TimedModel(model, timedelta(seconds=5)))
                    summarizer = Summarizer(store, generator)
                    if op.endswith("turn"):
                        text = f"mark{next(numbers)} " + "word " * (60 if op == "long turn" else 3)
                        session_id = await _turn(memory, user, session_id, text, numbers)
                    elif session_id and op != "restart":
                        await _fold(op, summarizer, server, user, session_id)
                    if session_id:
                        await _check(memory, store, user, session_id)
            finally:
                await connection.aclose()


async def _turn(
    memory: CombinedMemory,
    user: User,
    session_id: str | None,
    text: str,
    numbers: "itertools.count[int]",
) -> str:
    recollection = await memory.recall(user, text, session_id=session_id, now=1000.0)
    reply = f"mark{next(numbers)} yes"
    return (await memory.remember(recollection, reply, at=1001.0)).session_id


async def _fold(
    op: str, summarizer: Summarizer, server: OpenAIServer, user: User, session_id: str
) -> None:
    policy = _PROFILE.summary_policy
    assert policy
    if op == "failed":
        server.faults.append(Fault(status=500))
        try:
            await summarizer.summarize(user, session_id, policy)
        except ModelError:
            assert not server.faults
        server.faults.clear()
    elif op == "killed":
        server.faults.append(Fault(hang=True))
        job = asyncio.create_task(summarizer.summarize(user, session_id, policy))
        while server.faults and not job.done():  # noqa: ASYNC110 - until the model was asked
            await asyncio.sleep(0)
        job.cancel()
        await asyncio.wait([job])
        server.faults.clear()
    else:
        times = 2 if op == "two folds" else 1
        folds = (summarizer.summarize(user, session_id, policy) for _ in range(times))
        for outcome in await asyncio.gather(*folds, return_exceptions=True):
            assert isinstance(outcome, int | TaskRunningError)


async def _check(memory: CombinedMemory, store: RedisStore, user: User, session_id: str) -> None:
    recollection = await memory.recall(user, "?", session_id=session_id, now=1002.0)
    session = await store.sessions.get(user, session_id)
    said = await store.transcripts.read(user, session_id, start=0, count=10_000)
    marks = [_MARK.search(entry.message.content) for entry in said]
    expected = [mark[0] for mark in marks if mark]
    fold = session.summary_state
    assert 0 <= fold.summarized_upto <= fold.compacted_upto <= session.length == len(said)
    assert _MARK.findall(fold.summary) == expected[: fold.summarized_upto]
    assert set(_MARK.findall(fold.fallback_summary)) <= set(expected[: fold.compacted_upto])
    assert bool(fold.fallback_summary) == (fold.summarized_upto < fold.compacted_upto)
    window = recollection.sections[0].messages
    assert [entry.position for entry in window] == list(range(fold.compacted_upto, session.length))
    assert recollection.sections[0].tokens <= _PROFILE.budgets["window"]
    prompt = build_prompt(recollection)
    in_window = [mark for message in prompt[1:-1] for mark in _MARK.findall(str(message.text))]
    assert in_window == expected[fold.compacted_upto :]
    assert not set(in_window) & set(_MARK.findall(str(prompt[0].text)))
