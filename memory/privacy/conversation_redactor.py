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

    def __init__(self, discretion: PrivacyPolicy) -> None:
        self._discretion = discretion
        self._secrets: tuple[str, ...] = ()

    def redact_line(self, role: str, text: str) -> str:
        """What is kept of the next line."""
        if role == "assistant":
            return self._discretion.answer_for_storage(text, self._secrets)
        said = self._discretion.prepare_message(text)
        self._secrets = said.private_texts
        return said.for_storage


class ConversationRedactors:
    """Writes several conversations down whose lines come mixed.

    Args:
        discretion: what is kept of them.
    """

    def __init__(self, discretion: PrivacyPolicy) -> None:
        self._discretion = discretion
        self._of: OrderedDict[str, ConversationRedactor] = OrderedDict()

    def redact_message(self, label: str, message: Message) -> Message:
        """The next message of the conversation `label`, as it is kept."""
        listener = self._of.setdefault(label, ConversationRedactor(self._discretion))
        self._of.move_to_end(label)
        if len(self._of) > _MOST_LABELS:
            self._of.popitem(last=False)
        content = listener.redact_line(message.role, message.content)
        author = message.author and self._discretion.for_storage(message.author)
        return replace(message, content=content, author=author)
