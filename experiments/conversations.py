"""Conversations with questions, read from LoCoMo's format or from plain JSON lines.

The plain format has one object on each line, of two kinds:

    {"kind": "message", "conversation": "c1", "id": "m1", "session": "1", "role": "user",
     "author": "Ana", "time": "2026-03-02T18:04:00+00:00", "content": "I moved to Porto."}
    {"kind": "question", "conversation": "c1", "question": "Where do I live?",
     "evidence": ["m1"], "category": "fact", "answer": "In Porto."}

`author`, `category` and `answer` are optional. A conversation's messages are in order.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from onionskin.memory.errors import OnionskinError
from onionskin.memory.types.messages import Message, Role

_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open domain", 4: "single-hop", 5: "adversarial"}
_TURN = re.compile(r"D\d+:\d+")


class UnreadableDataError(OnionskinError):
    """A data file is in neither format, or its content is invalid."""

    code = "unreadable_data"


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """A message of a conversation, with its id and session."""

    id: str
    session: str
    message: Message


@dataclass(frozen=True, slots=True)
class Question:
    """A question; `evidence` holds the ids of the messages with the answer."""

    text: str
    category: str
    evidence: tuple[str, ...]
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with its messages in order, and questions about it."""

    id: str
    messages: tuple[RecordedMessage, ...]
    questions: tuple[Question, ...]


class _Message(msgspec.Struct, tag_field="kind", tag="message"):
    conversation: str
    id: str
    session: str
    role: Role
    time: datetime
    content: str
    author: str | None = None


class _Question(msgspec.Struct, tag_field="kind", tag="question"):
    conversation: str
    question: str
    evidence: list[str]
    category: str = "all"
    answer: str = ""


def read_conversations(path: Path) -> list[Conversation]:
    """All conversations of a file, also those without questions.

    Raises:
        UnreadableDataError: The file cannot be read, or a question names a missing message.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableDataError(
            f"The data file {str(path)!r} cannot be read: {error}."
        ) from error
    conversations = _locomo(text, path) if text.lstrip().startswith("[") else _plain(text, path)
    if not any(conversation.messages for conversation in conversations):
        raise UnreadableDataError(f"The data file {str(path)!r} has no conversation.")
    return conversations


def _plain(text: str, path: Path) -> list[Conversation]:
    decoder = msgspec.json.Decoder(_Message | _Question)
    messages: dict[str, dict[str, RecordedMessage]] = {}
    questions: dict[str, list[Question]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            read = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise UnreadableDataError(f"{str(path)!r}, line {number}: {error}.") from error
        if isinstance(read, _Message):
            at = read.time if read.time.tzinfo else read.time.replace(tzinfo=UTC)
            message = Message(read.role, read.content, at.timestamp(), read.author)
            earlier = messages.setdefault(read.conversation, {})
            if read.id in earlier:
                raise UnreadableDataError(
                    f"{str(path)!r}, line {number}: the id {read.id!r} is used twice."
                )
            earlier[read.id] = RecordedMessage(read.id, read.session, message)
            continue
        known = messages.get(read.conversation, {})
        if missing := [message_id for message_id in read.evidence if message_id not in known]:
            raise UnreadableDataError(
                f"{str(path)!r}, line {number}: no line above has the message {missing[0]!r}."
            )
        question = Question(read.question, read.category, tuple(read.evidence), read.answer)
        questions.setdefault(read.conversation, []).append(question)
    return [
        Conversation(name, tuple(recorded.values()), tuple(questions.get(name, [])))
        for name, recorded in messages.items()
    ]


def _locomo(text: str, path: Path) -> list[Conversation]:
    try:
        return [_sample(sample) for sample in json.loads(text)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableDataError(
            f"{str(path)!r} begins like LoCoMo's format, but does not follow it: {error!r}."
        ) from error


def _sample(sample: dict[str, Any]) -> Conversation:
    messages = {recorded.id: recorded for recorded in _turns(sample["conversation"])}
    questions: list[Question] = []
    for entry in sample["qa"]:
        named = dict.fromkeys(turn for text in entry["evidence"] for turn in _TURN.findall(text))
        evidence = tuple(turn for turn in named if turn in messages)
        if evidence:
            category = _CATEGORIES.get(entry["category"], str(entry["category"]))
            answer = str(entry.get("answer", ""))
            questions.append(Question(entry["question"], category, evidence, answer))
    return Conversation(sample["sample_id"], tuple(messages.values()), tuple(questions))


def _turns(sample: dict[str, Any]) -> Iterator[RecordedMessage]:
    number = 1
    while f"session_{number}_date_time" in sample:
        date = f"{sample[f'session_{number}_date_time']} +0000"
        at = datetime.strptime(date, "%I:%M %p on %d %B, %Y %z").timestamp()
        for turn in sample.get(f"session_{number}", []):
            content: str = turn["text"]
            if caption := turn.get("blip_caption"):
                content = f"{content} [shared a picture: {caption}]".strip()
            role: Literal["user", "assistant"] = (
                "user" if turn["speaker"] == sample["speaker_a"] else "assistant"
            )
            message = Message(role, content, at, turn["speaker"])
            yield RecordedMessage(turn["dia_id"], f"session {number}", message)
        number += 1
