"""Removes from an answer what it repeats of private text, before the answer is stored.

Removed are whole private spans, runs of four of their words, and their words with a digit or an
`@`: numbers, codes, addresses. Shorter texts, such as "yes", stay, because removing them would
damage every answer. Paraphrases cannot be detected.
"""

import re
from collections.abc import Iterator, Sequence

from onionskin.memory.privacy.private_spans import MARK

MIN_LENGTH = 4
"""In characters; shorter spans and words are not removed."""
_RUN = 4
_LONGEST_TAIL = 256
_WORD = re.compile(r"\w(?:[\w.@+/:-]*\w)?")
Words = tuple[str, ...]


def remove_echoes(answer: str, private_texts: Sequence[str]) -> str:
    """An answer with `MARK` in place of repeated private text.

    Args:
        answer: A complete or interrupted answer.
        private_texts: Private texts of the message that it answers.
    """
    if not private_texts:
        return answer
    candidates = (
        text for text in private_texts if len(text) >= MIN_LENGTH and text.casefold() not in MARK
    )
    secrets = sorted(candidates, key=len, reverse=True)
    if not secrets:
        return answer
    answer = _without_tail(answer, secrets)
    for secret in secrets:
        answer = answer.replace(secret, MARK)
    return _without_runs(answer, secrets)


def matches_redacted(stored: str, text: str) -> bool:
    """Whether `text` matches a stored answer; each `MARK` in `stored` matches any text."""
    if MARK not in stored:
        return stored == text
    first, *between, last = stored.split(MARK)
    if not text.startswith(first):
        return False
    end = len(first)
    for piece in between:
        start = text.find(piece, end)
        if start < 0:
            return False
        end = start + len(piece)
    return text.endswith(last) and len(text) - len(last) >= end


def _without_tail(answer: str, secrets: Sequence[str]) -> str:
    """Remove the beginning of a span from the end of an interrupted answer."""
    for secret in secrets:
        longest = min(len(secret), len(answer), _LONGEST_TAIL)
        for count in range(longest, MIN_LENGTH - 1, -1):
            if answer.endswith(secret[:count]):
                return answer[:-count] + MARK
    return answer


def _without_runs(answer: str, secrets: Sequence[str]) -> str:
    runs = {run for secret in secrets for run in _identifying_runs(_words(secret))}
    lengths = sorted({len(run) for run in runs}, reverse=True)
    matches = list(_WORD.finditer(answer))
    words = tuple(match[0].casefold() for match in matches)
    hidden = [False] * len(words)
    for length in lengths:
        for place in range(len(words) - length + 1):
            if words[place : place + length] in runs:
                hidden[place : place + length] = [True] * length
    pieces: list[str] = []
    end, place = 0, 0
    while place < len(matches):
        first = place
        while place < len(matches) and hidden[place]:
            place += 1
        if place > first:
            pieces += (answer[end : matches[first].start()], MARK)
            end = matches[place - 1].end()
        else:
            place += 1
    return "".join((*pieces, answer[end:]))


def _identifying_runs(words: Words) -> Iterator[Words]:
    """The runs of words that identify a text."""
    if len(words) < _RUN:
        if sum(map(len, words)) >= MIN_LENGTH:
            yield words
    else:
        for place in range(len(words) - _RUN + 1):
            yield words[place : place + _RUN]
    for word in words:
        if len(word) >= MIN_LENGTH and ("@" in word or any(map(str.isdigit, word))):
            yield (word,)


def _words(text: str) -> Words:
    return tuple(match[0].casefold() for match in _WORD.finditer(text))
