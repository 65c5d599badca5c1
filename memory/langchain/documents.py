"""A user's memories and messages as LangChain's documents, and documents as memories.

A document that comes with an id of its own is the memory that holds the topic `document:<id>`:
added again under that id, it replaces what was there. One without is known by its memory's id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from langchain_core.documents import Document

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.retrieval import RecordIndex
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Record

Filter: TypeAlias = Mapping[str, Any] | Callable[[Document], bool] | None
"""What a document's metadata must hold, or a function of the document."""
_TOPIC = "document:"


def draft_of(text: str, metadata: Mapping[str, Any], document_id: str | None) -> dict[str, Any]:
    """The fields of the memory that a document becomes."""
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
    """The id that a memory has as a document."""
    topic = record.topic or ""
    return topic.removeprefix(_TOPIC) if topic.startswith(_TOPIC) else record.id


def records_with(records: RecordIndex, ids: Iterable[str]) -> list[Record]:
    """The memories of documents, in the order of their ids; ids that nothing has are left out."""
    known = {document_id(record): record for record in records}
    return [known[one] for one in dict.fromkeys(ids) if one in known]


def passes(document: Document, wanted: Filter) -> bool:
    """Whether a document passes a filter."""
    if wanted is None:
        return True
    if callable(wanted):
        return wanted(document)
    return all(document.metadata.get(name) == one for name, one in wanted.items())


def metadata_of(texts: Sequence[str], metadatas: Sequence[dict[str, Any]] | None) -> list[Any]:
    """The metadata of each text.

    Raises:
        InvalidInputError: they are not as many.
    """
    given = list(metadatas or [{} for _ in texts])
    if len(given) != len(texts):
        raise InvalidInputError(f"There are {len(texts)} texts, and metadata for {len(given)}.")
    return given
