"""Writing conversations down, line by line: an answer is heard with the message before it."""

from collections import OrderedDict
from dataclasses import replace

from onionskin.memory.privacy.policy import Discretion
from onionskin.memory.types.messages import Message

_MOST_LABELS = 1000


class Listener:
    """Writes one conversation down.

    Args:
        discretion: what is kept of it.
    """

    def __init__(self, discretion: Discretion) -> None:
        self._discretion = discretion
        self._secrets: tuple[str, ...] = ()

    def line(self, role: str, text: str) -> str:
        """What is kept of the next line."""
        if role == "assistant":
            return self._discretion.answered(text, self._secrets)
        said = self._discretion.said(text)
        self._secrets = said.secrets
        return said.kept


class Listeners:
    """Writes several conversations down whose lines come mixed.

    Args:
        discretion: what is kept of them.
    """

    def __init__(self, discretion: Discretion) -> None:
        self._discretion = discretion
        self._of: OrderedDict[str, Listener] = OrderedDict()

    def heard(self, label: str, message: Message) -> Message:
        """The next message of the conversation `label`, as it is kept."""
        listener = self._of.setdefault(label, Listener(self._discretion))
        self._of.move_to_end(label)
        if len(self._of) > _MOST_LABELS:
            self._of.popitem(last=False)
        content = listener.line(message.role, message.content)
        author = message.author and self._discretion.kept(message.author)
        return replace(message, content=content, author=author)
