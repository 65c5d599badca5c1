"""Writing conversations down, line by line: an answer is heard with the message before it."""

from collections import OrderedDict
from dataclasses import replace

from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.messages import Message

_MOST_LABELS = 1000


class ConversationRedactor:
    """Writes one conversation down.

    Args:
        discretion: what is kept of it.
    """

    def __init__(self, privacy: PrivacyPolicy) -> None:
        self._privacy = privacy
        self._private_texts: tuple[str, ...] = ()

    def redact_line(self, role: str, text: str) -> str:
        """What is kept of the next line."""
        if role == "assistant":
            return self._privacy.answer_for_storage(text, self._private_texts)
        said = self._privacy.prepare_message(text)
        self._private_texts = said.private_texts
        return said.for_storage


class ConversationRedactors:
    """Writes several conversations down whose lines come mixed.

    Args:
        discretion: what is kept of them.
    """

    def __init__(self, privacy: PrivacyPolicy) -> None:
        self._privacy = privacy
        self._redactors: OrderedDict[str, ConversationRedactor] = OrderedDict()

    def redact_message(self, label: str, message: Message) -> Message:
        """The next message of the conversation `label`, as it is kept."""
        listener = self._redactors.setdefault(label, ConversationRedactor(self._privacy))
        self._redactors.move_to_end(label)
        if len(self._redactors) > _MOST_LABELS:
            self._redactors.popitem(last=False)
        content = listener.redact_line(message.role, message.content)
        author = message.author and self._privacy.for_storage(message.author)
        return replace(message, content=content, author=author)
