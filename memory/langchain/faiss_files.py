"""Exports a user's index as a folder of LangChain's `FAISS`, and imports such folders.

The folder is what `FAISS.save_local` writes: vectors in `index.faiss`, documents in a pickle.
LangChain's own class writes it. An import unpickles nothing and computes vectors again, because
vectors of two embedders must not be mixed.
"""

import asyncio
import hashlib
import json
import time
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
from onionskin.memory.retrieval.index.passages import unit_mean
from onionskin.memory.transfer.importer import Importer
from onionskin.memory.types.messages import Entry, User

_BATCH = 64
_MOST_VALUES, _DEEPEST = 1_000_000, 50


async def export_faiss(
    onionskin: Onionskin, user: User, folder: Path, *, name: str = "index"
) -> int:
    """Write a user's messages and memories into a folder, and return their number.

    Load it with `FAISS.load_local(folder, OnionskinEmbeddings(onionskin), ...)`.

    Raises:
        InvalidInputError: The user has no data.
    """
    return await onionskin.event_loop.run(_export(onionskin, user, folder, name))


async def import_faiss(
    onionskin: Onionskin, user: User, folder: Path, *, name: str = "index"
) -> int:
    """Import the documents of a folder, and return their number.

    Documents that `export_faiss` made from messages become messages again, in new sessions; all
    others become memories. Importing a folder again changes nothing.

    Raises:
        InvalidInputError: The folder is not an index, or its pickle is not allowed.
    """
    return await onionskin.event_loop.run(_import(onionskin, user, folder, name))


async def _export(onionskin: Onionskin, user: User, folder: Path, name: str) -> int:
    documents: list[Document] = []
    stored: list[Entry] = []
    async for entries in onionskin.store.transcripts.read_all(user):
        documents += map(document_of_message, entries)
        stored += entries
    async for entry, record in onionskin.store.records.read_all(user):
        documents.append(document_of_record(record))
        stored.append(entry)
    if not documents:
        raise InvalidInputError("Nothing is stored of this user: there is no index to write.")
    missing = [place for place, entry in enumerate(stored) if entry.vector is None]
    made = dict(
        zip(missing, await _embedded(onionskin, [stored[place] for place in missing]), strict=True)
    )
    rows = [made.get(place, entry.vector) for place, entry in enumerate(stored)]
    vectors = np.stack([unit_mean(np.atleast_2d(row)) for row in rows]).astype(np.float32)
    await asyncio.to_thread(_write, onionskin, folder, name, vectors, documents)
    return len(documents)


async def _embedded(onionskin: Onionskin, entries: list[Entry]) -> list[Any]:
    vectors: list[Any] = []
    for start in range(0, len(entries), _BATCH):
        texts = [entry.message.spoken for entry in entries[start : start + _BATCH]]
        vectors.extend(await onionskin.embedder.embed(texts))
    return vectors


def _write(
    onionskin: Onionskin, folder: Path, name: str, vectors: Any, documents: list[Document]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package announces its end
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
    messages = [document for document in documents if _is_message(document)]
    notes = [document for document in documents if not _is_message(document)]
    if messages:
        importer = Importer(
            onionskin.store,
            onionskin.embedder,
            clock=time.time,
            privacy=onionskin.privacy,
        )
        digest = hashlib.sha256(data).hexdigest()
        await importer.run(user, f"faiss-{digest[:16]}", _lines(messages))
    store = OnionskinVectorStore(onionskin, user)
    for start in range(0, len(notes), _BATCH):
        await store.aadd_documents(notes[start : start + _BATCH])
    return len(documents)


def documents_of(found: Any) -> Iterator[Document]:
    """The documents in the result of `read_pickle`, in index order.

    Raises:
        InvalidInputError: It lacks the structure that `FAISS.save_local` writes.
    """
    try:
        docstore, order = found
        held = docstore.state["_dict"]
        left = [_MOST_VALUES]
        for place in sorted(order):
            document_id = _text(order[place])
            fields = held[document_id].state["__dict__"]
            text, metadata = _text(fields["page_content"]), _plain(fields["metadata"], left, 0)
            yield Document(text, id=document_id, metadata=metadata)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInputError(
            "The pickle is not what FAISS.save_local of LangChain writes."
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("A text is expected.")
    return value


def _plain(value: Any, left: list[int], depth: int) -> Any:
    """A bounded copy of plain data: a pickle may nest an object in itself or repeat it."""
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
            raise InvalidInputError(
                f"The metadata of a document contain a {kind}, which is not plain data."
            )


def _is_message(document: Document) -> bool:
    known = document.metadata
    return known.get("role") in {"user", "assistant"} and {"session_id", "at"} <= set(known)


async def _lines(documents: list[Document]) -> AsyncIterator[bytes]:
    """The documents as lines of an import."""
    for one in documents:
        known = one.metadata
        line = {"content": one.page_content, "role": known["role"], "time": known["at"]}
        line |= {"session": str(known["session_id"])}
        line |= {"author": known["author"]} if known.get("author") else {}
        yield json.dumps(line).encode() + b"\n"
