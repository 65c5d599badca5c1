"""A user's memories and messages as LangChain's documents, and documents as memories.

A document with its own id becomes the memory with the topic `document:<id>`; adding it again under
that id replaces the memory. A document without an id is identified by the memory's id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from langchain_core.documents import Document

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.retrieval import RecordIndex
from onionskin.memory.types.filters import compile_filter
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Record

Predicate: TypeAlias = Callable[[Document], bool]
Filter: TypeAlias = Mapping[str, Any] | Predicate | None
"""A filter of the metadata, as in `filters.py`, or a predicate on the document."""
_TOPIC = "document:"


def draft_of(text: str, metadata: Mapping[str, Any], document_id: str | None) -> dict[str, Any]:
    """The fields of a document's memory."""
    topic = None if document_id is None else f"{_TOPIC}{document_id}"
    return {"content": text, "kind": "note", "metadata": dict(metadata), "topic": topic}


def document_of_record(record: Record) -> Document:
    """A memory as a document."""
    return Document(record.content, id=document_id(record), metadata=dict(record.metadata))


def document_of_message(entry: Entry) -> Document:
    """A message as a document."""
    message = entry.message
    metadata: dict[str, Any] = {
        "session_id": entry.session_id,
        "role": message.role,
        "at": datetime.fromtimestamp(message.at, UTC).isoformat(),
    }
    if message.author:
        metadata["author"] = message.author
    return Document(message.content, id=entry.id, metadata=metadata)


def document_id(record: Record) -> str:
    """The document id of a memory."""
    topic = record.topic or ""
    return topic.removeprefix(_TOPIC) if topic.startswith(_TOPIC) else record.id


def records_with(records: RecordIndex, ids: Iterable[str]) -> list[Record]:
    """The memories of the documents `ids`, in that order; unknown ids are skipped."""
    known = {document_id(record): record for record in records}
    return [known[document] for document in dict.fromkeys(ids) if document in known]


def predicate_of(condition: Filter) -> Predicate:
    """The predicate of a filter.

    Raises:
        InvalidInputError: The filter has an unknown operator, or an operand that does not fit.
    """
    if condition is None:
        return lambda _: True
    if callable(condition):
        return condition
    matches = compile_filter(condition)
    return lambda document: matches(document.metadata)


def metadata_of(texts: Sequence[str], metadatas: Sequence[dict[str, Any]] | None) -> list[Any]:
    """The metadata of each text; empty if none are given.

    Raises:
        InvalidInputError: Texts and metadata differ in number.
    """
    given = list(metadatas or [{} for _ in texts])
    if len(given) != len(texts):
        raise InvalidInputError(f"There are {len(texts)} texts, and metadata for {len(given)}.")
    return given
