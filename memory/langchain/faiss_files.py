"""A user's index as a folder of LangChain's `FAISS`, and such a folder taken up.

The folder is what `FAISS.save_local` writes: vectors in `index.faiss`, documents in a pickle. It is
written by LangChain's own class. When one is taken up, nothing of it is unpickled, and its vectors
are made anew: those of two embedders are never mixed.
"""

import asyncio
import hashlib
import json
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import faiss
import numpy as np
from langchain_core.documents import Document

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.documents import document_of_message, document_of_record
from onionskin.memory.langchain.embeddings import OnionskinEmbeddings
from onionskin.memory.langchain.safe_unpickler import PickleObject, read_pickle
from onionskin.memory.langchain.vectorstore import OnionskinVectorStore
from onionskin.memory.transfer.importer import Importer
from onionskin.memory.types.messages import Entry, User

_BATCH = 64
_MOST_VALUES, _DEEPEST = 1_000_000, 50


async def export_faiss(
    onionskin: Onionskin, user: User, folder: Path, *, name: str = "index"
) -> int:
    """Write a user's messages and memories as a folder; how many.

    Load it with `FAISS.load_local(folder, OnionskinEmbeddings(onionskin), ...)`.

    Raises:
        InvalidInputError: there is nothing to write.
    """
    return await onionskin.event_loop.run(_export(onionskin, user, folder, name))


async def import_faiss(
    onionskin: Onionskin, user: User, folder: Path, *, name: str = "index"
) -> int:
    """Take up the documents of a folder; how many.

    Those that `export_faiss` made of messages become messages again, in sessions of their own; all
    others become memories. A folder that is taken up twice changes nothing the second time.

    Raises:
        InvalidInputError: it is no such folder, or holds what no documents need.
    """
    return await onionskin.event_loop.run(_import(onionskin, user, folder, name))


async def _export(onionskin: Onionskin, user: User, folder: Path, name: str) -> int:
    documents: list[Document] = []
    held: list[Entry] = []
    async for entries in onionskin.store.transcripts.read_all(user):
        documents += map(document_of_message, entries)
        held += entries
    async for entry, record in onionskin.store.records.read_all(user):
        documents.append(document_of_record(record))
        held.append(entry)
    if not documents:
        raise InvalidInputError("Nothing is stored of this user: there is no index to write.")
    missing = [place for place, entry in enumerate(held) if entry.vector is None]
    made = dict(
        zip(missing, await _embedded(onionskin, [held[one] for one in missing]), strict=True)
    )
    rows = [made.get(place, entry.vector) for place, entry in enumerate(held)]
    vectors = np.stack(rows).astype(np.float32)
    await asyncio.to_thread(_write, onionskin, folder, name, vectors, documents)
    return len(documents)


async def _embedded(onionskin: Onionskin, entries: list[Entry]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(entries), _BATCH):
        texts = [one.message.spoken for one in entries[start : start + _BATCH]]
        found.extend(await onionskin.embedder.embed(texts))
    return found


def _write(
    onionskin: Onionskin, folder: Path, name: str, vectors: Any, documents: list[Document]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's end
        from langchain_community.docstore.in_memory import InMemoryDocstore  # noqa: PLC0415
        from langchain_community.vectorstores.faiss import FAISS  # noqa: PLC0415
    index: Any = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    ids = [str(one.id) for one in documents]
    docstore = InMemoryDocstore(dict(zip(ids, documents, strict=True)))
    whole = FAISS(OnionskinEmbeddings(onionskin), index, docstore, dict(enumerate(ids)))
    whole.save_local(str(folder), name)


async def _import(onionskin: Onionskin, user: User, folder: Path, name: str) -> int:
    path = folder / f"{name}.pkl"
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise InvalidInputError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    documents = list(documents_of(await asyncio.to_thread(read_pickle, data)))
    said = [one for one in documents if _is_message(one)]
    noted = [one for one in documents if not _is_message(one)]
    if said:
        importer = Importer(
            onionskin.store,
            onionskin.embedder,
            clock=onionskin.store.retention.clock,
            privacy=onionskin.privacy,
        )
        digest = hashlib.sha256(data).hexdigest()
        await importer.run(user, f"faiss-{digest[:16]}", _lines(said))
    store = OnionskinVectorStore(onionskin, user)
    for start in range(0, len(noted), _BATCH):
        await store.aadd_documents(noted[start : start + _BATCH])
    return len(documents)


def documents_of(found: Any) -> Iterator[Document]:
    """The documents in what `read_pickle` read, in the order of the index.

    Raises:
        InvalidInputError: it has not the shape that `FAISS.save_local` gives it.
    """
    try:
        docstore, order = found
        held = docstore.state["_dict"]
        left = [_MOST_VALUES]
        for place in sorted(order):
            fields = held[order[place]].state["__dict__"]
            text, metadata = fields["page_content"], _plain(fields["metadata"], left, 0)
            yield Document(str(text), id=str(order[place]), metadata=metadata)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInputError(
            "The pickle is not what FAISS.save_local of LangChain writes."
        ) from error


def _plain(value: Any, left: list[int], depth: int) -> Any:
    """Plain data, copied: a pickle can hold one thing a billion times, and things in themselves."""
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise InvalidInputError("The metadata of the documents are too many, or nested too deeply.")
    match value:
        case dict():
            items = cast("dict[Any, Any]", value).items()
            return {str(name): _plain(one, left, depth + 1) for name, one in items}
        case list() | tuple():
            return [_plain(one, left, depth + 1) for one in cast("list[Any]", value)]
        case None | bool() | int() | float() | str():
            return value
        case _:
            kind = value.kind.name if isinstance(value, PickleObject) else type(value).__name__
            raise InvalidInputError(f"The metadata of a document hold a {kind}: no plain data.")


def _is_message(document: Document) -> bool:
    known = document.metadata
    return known.get("role") in {"user", "assistant"} and {"session_id", "at"} <= set(known)


async def _lines(documents: list[Document]) -> AsyncIterator[bytes]:
    """As an import reads them."""
    for one in documents:
        known = one.metadata
        line = {"content": one.page_content, "role": known["role"], "time": known["at"]}
        line |= {"session": str(known["session_id"])}
        line |= {"author": known["author"]} if known.get("author") else {}
        yield json.dumps(line).encode() + b"\n"
