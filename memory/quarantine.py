"""Quarantine: stored texts that read like instructions are kept and listed, but shown to no model.

Whoever may change the user's memories can release one. The session at hand is a conversation, not a
memory: its window shows what was said.

Which stored texts read like instructions to a model. Patterns only: fast, the same everywhere.

A heuristic for a quarantine, not a defence: what keeps stored text harmless is that it stands in
the prompt as quoted data. This keeps the crudest of it out of sight until somebody looked at it.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from onionskin.memory.types.messages import Entry, User

_OLD = r"(?:previous|prior|above|earlier|preceding|former|all|any|your|these|the)"
_ORDERS = r"(?:instructions?|prompts?|rules?|directions?|guidelines?|commands?|constraints?)"
_GIVE_UP = r"\b(?:ignore|disregard|forget|override|bypass|discard)\b(?:\s+\w+){0,4}?"
_HIDDEN = r"\b(?:system|hidden|initial)\s+(?:prompt|instructions?|message)"
_ENGLISH = (
    rf"{_GIVE_UP}\s+{_OLD}\s+(?:\w+\s+){{0,2}}?{_ORDERS}",
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
_TELLTALES = tuple(
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
"""One of these stands in whatever a pattern finds: most texts hold none, and are done with."""
_LOOKED_AT = 8_000
_SMUGGLED = re.compile("[\U000e0020-\U000e007f]{3}")
_UNSEEN = re.compile("[\u200b-\u200f\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\u00ad]")


def is_suspicious(text: str) -> bool:
    """Whether a text reads like instructions; only its first characters are looked at."""
    plain = _UNSEEN.sub("", text[:_LOOKED_AT])
    if _SMUGGLED.search(plain):
        return True
    lower = plain.lower()
    return any(one in lower for one in _TELLTALES) and _SUSPICIOUS.search(plain) is not None


class Quarantine:
    """What is held of one user's messages and records.

    Args:
        suspects: which texts are held; by default none.
    """

    def __init__(self, suspects: Callable[[str], bool] | None = None) -> None:
        self._suspects = suspects
        self._suspicious: dict[str, Entry] = {}
        self._released: set[str] = set()
        self.quarantined_ids: frozenset[str] = frozenset()

    @property
    def entries(self) -> list[Entry]:
        """What is held, the latest first."""
        held = [one for one in self._suspicious.values() if one.id in self.quarantined_ids]
        return sorted(held, key=lambda one: -one.message.at)

    def scan(self, entries: Sequence[Entry]) -> None:
        """Messages or records came, or came again."""
        if self._suspects is None:
            return
        found = {one.id: one for one in entries if self._suspects(one.message.spoken)}
        if found:
            self._suspicious |= found
            self._settle()

    def release(self, *ids: str) -> None:
        """Hold these no longer: ids of messages, or of records whatever their revision."""
        self._released.update(ids)
        self._settle()

    def drop(self, session_id: str) -> None:
        """A session, or a record, is gone."""
        gone = [one.id for one in self._suspicious.values() if one.session_id == session_id]
        for each in gone:
            del self._suspicious[each]
        if gone:
            self._settle()

    def _settle(self) -> None:
        self.quarantined_ids = frozenset(
            one.id
            for one in self._suspicious.values()
            if one.id not in self._released and one.session_id not in self._released
        )


QuarantinedIds: TypeAlias = Callable[[User], Awaitable[frozenset[str]]]
"""Tells the ids of what is held back of a user."""


async def no_quarantine(_user: User) -> frozenset[str]:
    """Where there is no quarantine."""
    return frozenset()


def without_quarantined(
    entries: tuple[Entry, ...], quarantined_ids: frozenset[str]
) -> tuple[Entry, ...]:
    """Those that are not held."""
    return (
        tuple(one for one in entries if one.id not in quarantined_ids)
        if quarantined_ids
        else entries
    )


def make_quarantine(*, on: bool) -> Quarantine:
    """For a user: an empty one that holds what reads like instructions, or holds nothing."""
    return Quarantine(is_suspicious if on else None)
