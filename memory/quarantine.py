"""Quarantine: stored texts that look like prompt injection are listed, but shown to no model.

Anybody with write access to the user's memories can release them. The current session's window is
exempt: it shows the conversation as it was.

Detection uses patterns only: it is fast and deterministic. It is a heuristic, not the defence: the
defence is that the prompt quotes stored text as data. Quarantine hides crude cases until a person
has reviewed them.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from onionskin.memory.types.messages import Entry, User

_EARLIER = r"(?:previous|prior|above|earlier|preceding|former|all|any|your|these|the)"
_ORDERS = r"(?:instructions?|prompts?|rules?|directions?|guidelines?|commands?|constraints?)"
_IGNORE = r"\b(?:ignore|disregard|forget|override|bypass|discard)\b(?:\s+\w+){0,4}?"
_HIDDEN = r"\b(?:system|hidden|initial)\s+(?:prompt|instructions?|message)"
_ENGLISH = (
    rf"{_IGNORE}\s+{_EARLIER}\s+(?:\w+\s+){{0,2}}?{_ORDERS}",
    r"\bdisregard\b.{0,20}\b(?:above|rules)\b",
    r"\b(?:system|developer|admin)\s+(?:override|message|prompt|instruction)s?\s*[:=]",
    r"\bsystem\s+override\b",
    rf"\b(?:reveal|print|repeat|output|leak|show)\b.{{0,30}}{_HIDDEN}",
    r"\bfrom now on,?\s+(?:you (?:are|must|will|shall)|always|never|respond|answer)\b",
    r"\byou are (?:now )?(?:DAN\b|in developer mode|unrestricted|jailbroken|no longer bound)",
    r"\b(?:call|invoke|run|execute|use)\s+the\s+(?:tool|function)\s+\w+",
    r"\bnew (?:system )?instructions?\s*:",
    r"\bdo not (?:tell|inform|alert) the user\b",
    r"\bthe user \w+ \((?:another|other) account\)",
)
_OTHERS = (
    r"\b(?:vergiss|vergesse|ignoriere|missachte)\b.{0,30}\b(?:anweisungen|regeln|vorgaben|befehle)\b",
    r"\b(?:ignore[rz]?|oublie[rz]?)\b.{0,30}\b(?:instructions?|consignes|r[eè]gles)\b",
    r"\b(?:ignora|olvida|omite)\b.{0,30}\b(?:instrucciones|reglas|istruzioni|regole)\b",
    r"(?:指示|命令|ルール|プロンプト).{0,8}(?:無視|忘れ)",
    r"(?:忽略|无视|忘记).{0,10}(?:指令|指示|提示|规则)",
    r"(?:输出|显示|表示).{0,6}(?:系统提示|システムプロンプト)",
)
_MARKS = (
    r"<\|?/?\s*(?:im_start|im_end|system|assistant|endoftext|start_header_id)\b",
    r"</?\s*(?:recalled_memory|known_facts|preferences|earlier_sessions|summary|new_lines)\s*/?>",
    r"\[/?INST\]|<</?SYS>>",
    r"^[ \t]{0,8}(?:#{1,4} ?)?(?:system|developer|instruction) ?:",
    r"^```[ \t]?system\b",
    r'"role"\s*:\s*"(?:system|developer|tool)"',
    r'"tool_calls"\s*:',
    r"^The message to answer:",
)
_SUSPICIOUS = re.compile(
    "|".join(f"(?:{pattern})" for pattern in (*_ENGLISH, *_OTHERS, *_MARKS)),
    re.IGNORECASE | re.MULTILINE,
)
_KEYWORDS = tuple(
    """
    ignor|disregard|forget|overrid|bypass|discard|system|prompt|developer|instruction|from now on|
    you are|the tool|the function|do not tell|do not inform|do not alert|account)|
    vergiss|vergesse|missacht|oublie|olvida|omite|指示|命令|指令|ルール|プロンプト|提示|规则|
    im_|assistant|endoftext|header_id|_memory>|_memory |_facts|preferences|_sessions|summary|
    new_lines|inst]|<sys>|</sys>|role|tool_calls|the message to answer:
    """.strip()
    .replace("\n    ", "")
    .split("|")
)
"""Every match of a pattern contains one of these; most texts contain none and skip the patterns."""
_SCANNED_CHARACTERS = 8_000
_TAG_CHARACTERS = re.compile("[\U000e0020-\U000e007f]{3}")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\u00ad]")


def is_suspicious(text: str) -> bool:
    """Whether the first 8,000 characters of a text look like instructions to a model."""
    plain = _INVISIBLE.sub("", text[:_SCANNED_CHARACTERS])
    if _TAG_CHARACTERS.search(plain):
        return True
    lower = plain.lower()
    return any(keyword in lower for keyword in _KEYWORDS) and _SUSPICIOUS.search(plain) is not None


class Quarantine:
    """The quarantined messages and records of one user.

    Args:
        suspects: Whether a text belongs into quarantine; None quarantines nothing.
    """

    def __init__(self, suspects: Callable[[str], bool] | None = None) -> None:
        self._suspects = suspects
        self._suspicious: dict[str, Entry] = {}
        self._released: set[str] = set()
        self.quarantined_ids: frozenset[str] = frozenset()

    @property
    def entries(self) -> list[Entry]:
        """The quarantined entries, latest first."""
        entries = [entry for entry in self._suspicious.values() if entry.id in self.quarantined_ids]
        return sorted(entries, key=lambda entry: -entry.message.at)

    def scan(self, entries: Sequence[Entry]) -> None:
        """Check new or changed messages and records."""
        if self._suspects is None:
            return
        suspicious = {entry.id: entry for entry in entries if self._suspects(entry.message.spoken)}
        if suspicious:
            self._suspicious |= suspicious
            self._update_ids()

    def release(self, *ids: str) -> None:
        """Release messages by id, and records by id regardless of their revision."""
        self._released.update(ids)
        self._update_ids()

    def drop(self, session_id: str) -> None:
        """Remove the entries of a deleted session or record."""
        self.drop_messages(
            [entry.id for entry in self._suspicious.values() if entry.session_id == session_id]
        )

    def drop_messages(self, ids: Sequence[str]) -> None:
        """Remove messages by their ids."""
        dropped = [entry_id for entry_id in ids if self._suspicious.pop(entry_id, None)]
        if dropped:
            self._update_ids()

    def _update_ids(self) -> None:
        self.quarantined_ids = frozenset(
            entry.id
            for entry in self._suspicious.values()
            if entry.id not in self._released and entry.session_id not in self._released
        )


QuarantinedIds: TypeAlias = Callable[[User], Awaitable[frozenset[str]]]
"""Returns the ids of a user's quarantined messages and records."""


async def no_quarantine(_user: User) -> frozenset[str]:
    """No ids: for a deployment without quarantine."""
    return frozenset()


def without_quarantined(
    entries: tuple[Entry, ...], quarantined_ids: frozenset[str]
) -> tuple[Entry, ...]:
    """The entries that are not quarantined."""
    if not quarantined_ids:
        return entries
    return tuple(entry for entry in entries if entry.id not in quarantined_ids)


def make_quarantine(*, on: bool) -> Quarantine:
    """An empty quarantine; with `on` False it accepts every text."""
    return Quarantine(is_suspicious if on else None)
