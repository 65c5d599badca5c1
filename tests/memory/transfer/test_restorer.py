"""Lines of an export that cannot be restored: each is named, and those before it are kept."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.transfer.exporter import export_user
from onionskin.memory.transfer.upload import UploadHandler
from onionskin.memory.types.messages import User
from tests.conftest import Clock

_NO_TEXT: dict[str, str] = {}
_HEADER: dict[str, Any] = {"kind": "onionskin-export", "version": 1}
_SESSION: dict[str, Any] = {
    "kind": "session",
    "id": "s_0123456789abcdef",
    "created": 1.0,
    "active": 2.0,
    "title": "",
    "profile": "",
    "closed": False,
    "follows": [],
    "folded_upto": 0,
    "summarized_upto": 0,
    "summary": "",
    "extract": "",
    "messages": 2,
    "more": {},
}
_MESSAGE: dict[str, Any] = {
    "kind": "message",
    "session": "s_0123456789abcdef",
    "position": 0,
    "role": "user",
    "content": "Hello.",
    "author": None,
    "time": 1.0,
}
_RECORD: dict[str, Any] = {
    "id": "m_0123456789abcdef",
    "content": "A fact.",
    "kind": "fact",
    "term": "long",
    "created": 1.0,
    "updated": 1.0,
}
_MEMORY: dict[str, Any] = {"kind": "memory", "record": _RECORD}
_STEP: dict[str, Any] = {
    "kind": "step",
    "memory": "m_0123456789abcdef",
    "step": {"at": 1.0, "action": "created", "record": _RECORD},
}
_WHOLE = [_HEADER, _SESSION, _MESSAGE, _MESSAGE | {"position": 1}, _MEMORY, _STEP]
_WHOLE.append({"kind": "end", "lines": len(_WHOLE)})


async def _sent(*lines: dict[str, Any] | bytes) -> AsyncIterator[bytes]:
    for line in lines:
        yield (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"


@pytest.fixture
def intake(store: RedisStore, embedder: StaticEmbedder, clock: Clock) -> UploadHandler:
    return UploadHandler(store, embedder, clock=clock, on_task=lambda _: None)


@pytest.mark.parametrize(
    ("before", "line", "message"),
    [
        (0, _HEADER | {"version": 2}, "version 2"),
        (1, b"nonsense", "Line 2"),
        (1, b'{"kind": "mystery"}', "mystery"),
        (1, _HEADER, "onionskin-export"),
        (1, _MESSAGE, "does not follow its session"),
        (1, _SESSION | {"id": "s_1"}, "id"),
        (1, _SESSION | {"id": "s_0123456789abcdef\n"}, "id"),
        (1, _SESSION | {"colour": "blue"}, "colour"),
        (1, _SESSION | {"folded_upto": 3}, "summarized beyond"),
        (1, _SESSION | {"created": 1e300}, "created"),
        (1, _SESSION | {"more": {"x": _NO_TEXT}}, "base64"),
        (1, _SESSION | {"messages": -1}, "messages"),
        (1, _SESSION | {"title": "\ud800"}, "Line 2"),
        (2, _MESSAGE | {"position": 1}, "came where 0"),
        (2, _MESSAGE | {"session": "s_1123456789abcdef"}, "does not follow"),
        (2, _MESSAGE | {"role": "system"}, "system"),
        (3, _SESSION | {"id": "s_1123456789abcdef"}, "1 came before this"),
        (3, _MEMORY, "1 came before this"),
        (4, _SESSION, "follows"),
        (4, _MESSAGE | {"position": 2}, "came where 2 of 2"),
        (4, {"kind": "memory", "record": _RECORD | {"id": "x"}}, "no memory id"),
        (4, {"kind": "memory", "record": _RECORD | {"expires": 1e300}}, "out of bounds"),
        (4, {"kind": "memory", "record": _RECORD | {"revision": 0}}, "out of bounds"),
        (4, {"kind": "memory", "record": _RECORD | {"content": " "}}, "empty content"),
        (4, {"kind": "memory", "record": _RECORD | {"metadata": {"x": 2**70}}}, "serialize"),
        (5, _MEMORY, "follows"),
        (5, _SESSION | {"id": "s_1123456789abcdef"}, "follows the memories"),
        (5, _STEP | {"memory": "m_1123456789abcdef"}, "not one of memory"),
    ],
)
async def test_a_bad_line_is_named_and_those_before_it_are_kept(
    store: RedisStore,
    intake: UploadHandler,
    user: User,
    before: int,
    line: dict[str, Any] | bytes,
    message: str,
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await intake.run(user, "one", _sent(*_WHOLE[:before], line, *_WHOLE[before:]))
    assert message in str(refused.value)
    assert before < 1 or f"Line {before + 1} " in str(refused.value)
    stored = before if before > 1 else 0
    assert f"{stored} lines are stored" in str(refused.value)
    done = await intake.run(user, "one", _sent(*_WHOLE))
    assert (done.resumed_after, done.lines) == (stored, len(_WHOLE))
    kinds = [
        json.loads(part)["kind"]
        async for page in export_user(store, user)
        for part in page.splitlines()
    ]
    assert kinds == [one["kind"] for one in _WHOLE]


async def test_an_export_that_ends_early_is_refused(intake: UploadHandler, user: User) -> None:
    with pytest.raises(InvalidInputError, match=r"ends after line 3.*1 came.*3 lines are stored"):
        await intake.run(user, "one", _sent(*_WHOLE[:3]))
    assert (await intake.run(user, "one", _sent(*_WHOLE))).resumed_after == 3


@pytest.mark.parametrize("count", [1, 4, 5, 6])
async def test_an_export_that_was_cut_off_between_two_lines_is_refused(
    intake: UploadHandler, user: User, count: int
) -> None:
    with pytest.raises(InvalidInputError, match="the export is truncated"):
        await intake.run(user, "one", _sent(*_WHOLE[:count]))
    assert (await intake.run(user, "one", _sent(*_WHOLE))).lines == len(_WHOLE)


@pytest.mark.parametrize("lines", [[*_WHOLE, _STEP], [*_WHOLE[:-2], _WHOLE[-1]]])
async def test_an_invalid_end_line_is_refused(
    intake: UploadHandler, user: User, lines: list[dict[str, Any]]
) -> None:
    with pytest.raises(InvalidInputError, match="the end"):
        await intake.run(user, "one", _sent(*lines))


async def test_a_line_that_never_ends_is_refused(intake: UploadHandler, user: User) -> None:
    line = b'{"kind": "message", "content": "' + b"x" * (1 << 22)
    with pytest.raises(InvalidInputError, match="Line 2 is longer"):
        await intake.run(user, "one", _sent(_HEADER, line))


async def test_metadata_nested_without_end_is_refused(intake: UploadHandler, user: User) -> None:
    line = b'{"kind": "session", "more": ' + b'{"x":' * 100_000
    with pytest.raises(InvalidInputError, match="Line 2"):
        await intake.run(user, "one", _sent(_HEADER, line))
    deep = json.dumps(_MEMORY | {"record": _RECORD | {"metadata": {"x": "HERE"}}})
    line = deep.replace('"HERE"', "[" * 100_000 + "]" * 100_000).encode()
    with pytest.raises(InvalidInputError, match="Line 2"):
        await intake.run(user, "one", _sent(_HEADER, line))
