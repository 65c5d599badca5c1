"""Redacts conversations line by line; an answer also loses its message's private text."""

import json
from collections import OrderedDict
from dataclasses import replace

from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.messages import Message

_MAX_CONVERSATIONS = 1000


class ConversationRedactor:
    """Redacts one conversation.

    Args:
        privacy: Privacy policy for its lines.
    """

    def __init__(self, privacy: PrivacyPolicy) -> None:
        self._privacy = privacy
        self._private_texts: tuple[str, ...] = ()

    def redact_line(self, role: str, text: str) -> str:
        """The next line as it is stored."""
        if role == "assistant":
            return self._privacy.answer_for_storage(text, self._private_texts)
        message = self._privacy.prepare_message(text)
        self._private_texts = message.private_texts
        return message.for_storage


class ConversationRedactors:
    """Redacts several conversations with interleaved lines.

    Args:
        privacy: Privacy policy for their lines.
    """

    def __init__(self, privacy: PrivacyPolicy) -> None:
        self._privacy = privacy
        self._redactors: OrderedDict[str, ConversationRedactor] = OrderedDict()

    def redact_message(self, label: str, message: Message) -> Message:
        """The next message of conversation `label` as it is stored."""
        redactor = self._redactors.setdefault(label, ConversationRedactor(self._privacy))
        self._redactors.move_to_end(label)
        if len(self._redactors) > _MAX_CONVERSATIONS:
            self._redactors.popitem(last=False)
        content = redactor.redact_line(message.role, message.content)
        author = message.author and self._privacy.for_storage(message.author)
        return replace(redact_parts(message, self._privacy), content=content, author=author)


def redact_parts(message: Message, privacy: PrivacyPolicy) -> Message:
    """The message with its calls, results and metadata as they are stored."""
    redact, metadata = privacy.for_storage, message.metadata
    if not (message.calls or message.results or metadata):
        return message
    return replace(
        message,
        calls=tuple(replace(call, arguments=redact(call.arguments)) for call in message.calls),
        results=tuple(
            replace(result, content=redact(result.content)) for result in message.results
        ),
        metadata=redact_metadata(metadata, privacy),
    )


def redact_metadata(metadata: str, privacy: PrivacyPolicy) -> str:
    """The JSON of a client as it is stored; empty for none."""
    return metadata and json.dumps(privacy.redact_json(json.loads(metadata)), ensure_ascii=False)
