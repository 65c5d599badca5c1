"""Interchange with LangChain's FAISS: it loads what we write, and we take up its folders."""

import io
import os
import pickle  # noqa: TID251 - to write what is refused
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.chat_history import OnionskinHistory
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.embeddings import OnionskinEmbeddings
from onionskin.memory.langchain.faiss_files import export_faiss, import_faiss
from onionskin.memory.langchain.safe_unpickler import read_pickle
from onionskin.memory.langchain.vectorstore import OnionskinVectorStore
from onionskin.memory.types.messages import User

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores.faiss import FAISS

_BO = User("bo")


async def _live(onionskin: Onionskin, user: User) -> None:
    history = OnionskinHistory(onionskin, user, "s")
    said = HumanMessage("My dog is called Biscuit.", name="Ann")
    await history.aadd_messages([said, AIMessage("A fine name.")])
    store = OnionskinVectorStore(onionskin, user)
    await store.aadd_texts(["Taxes are due in May."], [{"n": 1, "of": {"a": [None, 1.5]}}])


async def test_langchains_faiss_loads_what_is_written(
    waiting: Onionskin, user: User, tmp_path: Path
) -> None:
    await waiting.event_loop.run(_live(waiting, user))
    assert await export_faiss(waiting, user, tmp_path) == 3
    loaded: Any = FAISS.load_local(
        str(tmp_path), OnionskinEmbeddings(waiting), allow_dangerous_deserialization=True
    )
    (found,) = loaded.similarity_search("What is the name of the dog?", k=1)
    assert found.page_content == "My dog is called Biscuit."
    assert found.metadata["role"] == "user"
    (noted,) = loaded.similarity_search("When do I pay taxes?", k=1)
    assert noted.metadata == {"n": 1, "of": {"a": [None, 1.5]}}


async def test_a_folder_comes_back_as_what_it_was(
    onionskin: Onionskin, user: User, tmp_path: Path
) -> None:
    await _live(onionskin, user)
    await export_faiss(onionskin, user, tmp_path, name="ann")
    for _ in range(2):
        assert await import_faiss(onionskin, _BO, tmp_path, name="ann") == 3
    (session,) = await onionskin.store.sessions.list(_BO, after=None, count=9)
    said = await onionskin.store.transcripts.read(_BO, session.id, start=0, count=9)
    assert [(one.message.author, one.message.content) for one in said] == [
        ("Ann", "My dog is called Biscuit."),
        (None, "A fine name."),
    ]
    store = OnionskinVectorStore(onionskin, _BO, messages=False)
    assert [one.metadata for one in await store.asimilarity_search("taxes", k=9)] == [
        {"n": 1, "of": {"a": [None, 1.5]}}
    ]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
async def test_folders_of_langchains_own_are_taken_up(
    protocol: int, onionskin: Onionskin, user: User, tmp_path: Path
) -> None:
    documents = [Document(f"Fact {number}.", metadata={"n": number}) for number in range(70)]
    ids = [f"id-{number}" for number in range(70)]
    held = InMemoryDocstore(dict(zip(ids, documents, strict=True)))
    order = dict(enumerate(reversed(ids)))
    (tmp_path / "index.pkl").write_bytes(pickle.dumps((held, order), protocol))
    assert await import_faiss(onionskin, user, tmp_path) == 70
    found = await OnionskinVectorStore(onionskin, user).aget_by_ids(["id-3", "id-69"])
    assert [(one.page_content, one.metadata) for one in found] == [
        ("Fact 3.", {"n": 3}),
        ("Fact 69.", {"n": 69}),
    ]


class _Bomb:
    def __init__(self, made: Callable[[], Any]) -> None:
        self._made = made

    def __reduce__(self) -> Any:
        return self._made()


_BOMBS: dict[str, Any] = {
    "a command": _Bomb(lambda: (shutil.copy, ("index.pkl", "pwned"))),
    "an evaluation": _Bomb(lambda: (eval, ("open('pwned', 'w')",))),
    "a file": _Bomb(lambda: (io.open, ("pwned", "w"))),
    "in the metadata": (
        InMemoryDocstore({"a": Document("x", metadata={"b": _Bomb(lambda: (os.getcwd, ()))})}),
        {0: "a"},
    ),
}


@pytest.mark.parametrize("name", _BOMBS)
async def test_a_pickle_that_would_run_something_is_refused(
    name: str, onionskin: Onionskin, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index.pkl").write_bytes(pickle.dumps(_BOMBS[name]))
    with pytest.raises(InvalidInputError, match="not part of an index"):
        await import_faiss(onionskin, user, tmp_path)
    assert not (tmp_path / "pwned").exists()


def _nested() -> Any:
    nested: Any = {"x": 1}
    for _ in range(40):
        nested = {"a": nested, "b": nested}
    return InMemoryDocstore({"a": Document("x", metadata=nested)}), {0: "a"}


def _in_itself() -> Any:
    inner: dict[str, Any] = {}
    inner["me"] = inner
    return InMemoryDocstore({"a": Document("x", metadata=inner)}), {0: "a"}


_WRONG: dict[str, bytes] = {
    "too many": pickle.dumps(_nested()),
    "nested too deeply": pickle.dumps(_in_itself()),
    "not plain data": pickle.dumps(
        (InMemoryDocstore({"a": Document("x", metadata={"s": {1, 2}})}), {0: "a"})
    ),
    "what FAISS.save_local": pickle.dumps(({"a": "x"}, {0: "a"})),
    "cannot be read": b"no pickle",
    "forbidden instruction": pickle.dumps(b"bytes"),
    "exhausted": b"",
}


@pytest.mark.parametrize("said", _WRONG)
async def test_what_is_no_index_of_documents_is_refused(
    said: str, onionskin: Onionskin, user: User, tmp_path: Path
) -> None:
    (tmp_path / "index.pkl").write_bytes(_WRONG[said])
    with pytest.raises(InvalidInputError, match=said):
        await import_faiss(onionskin, user, tmp_path)
    with pytest.raises(InvalidInputError, match="no index to write"):
        await export_faiss(onionskin, user, tmp_path)


_HEAD, _END = b"\x80\x04", b"."
_HOSTILE = {
    "a set of tuples that share each other": (
        _HEAD + b"\x8f(K\x01" + b"".join(b"\x94h%c\x86" % n for n in range(60)) + b"\x90" + _END
    ),
    "a deeply nested tuple as a member": _HEAD + b"\x8f()" + b"\x85" * 200_000 + b"\x90" + _END,
    "a deeply nested tuple as a key": _HEAD + b"})" + b"\x85" * 200_000 + b"Ns" + _END,
    "keys with one hash": _HEAD
    + b"}("
    + b"".join(
        b"\x8a\x0c" + (number * (2**61 - 1)).to_bytes(12, "little") + b"N"
        for number in range(1, 20_000)
    )
    + b"u"
    + _END,
    "many marks": _HEAD + b"(" * 50_000 + b"t" * 50_000 + b"\x85" * 1000 + b"}2s" + _END,
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_small_hostile_pickle_is_refused_at_once(name: str) -> None:
    script = (
        "import sys\n"
        "from onionskin.memory.errors import InvalidInputError\n"
        "from onionskin.memory.langchain.safe_unpickler import read_pickle\n"
        "try:\n    read_pickle(sys.stdin.buffer.read())\n"
        "except InvalidInputError:\n    print('refused')\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script],
        input=_HOSTILE[name],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert process.stdout == b"refused\n", process.stderr[-500:]


def test_every_beginning_of_a_pickle_is_refused_or_read() -> None:
    whole = pickle.dumps((InMemoryDocstore({"a": Document("x")}), {0: "a"}))
    for length in range(len(whole)):
        with pytest.raises(InvalidInputError):
            read_pickle(whole[:length])
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_pickle(b"\x80\x04s.")
