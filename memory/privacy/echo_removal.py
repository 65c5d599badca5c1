"""What an answer repeats of private text: taken out of it before it is stored.

Gone are the whole of a span, four of its words in a row, and its words that hold a digit or an `@`:
numbers, codes, addresses. Shorter things, such as "yes", stay: to cut them would tear every answer
apart. What an answer says in other words cannot be known.
"""

import re
from collections.abc import Iterator, Sequence

from onionskin.memory.privacy.private_spans import MARK

LEAST = 4
"""Characters: a shorter span, or word, is not looked for."""
_RUN = 4
_LONGEST_TAIL = 256
_WORD = re.compile(r"\w(?:[\w.@+/:-]*\w)?")
Words = tuple[str, ...]


def remove_echoes(answer: str, private_texts: Sequence[str]) -> str:
    """An answer without what it repeats of private texts, `MARK` in its places.

    Args:
        answer: whole, or broken off at its end.
        private_texts: Private texts of the message that it answers.
    """
    telling = (one for one in private_texts if len(one) >= LEAST and one.casefold() not in MARK)
    wanted = sorted(telling, key=len, reverse=True)
    if not wanted:
        return answer
    answer = _without_tail(answer, wanted)
    for secret in wanted:
        answer = answer.replace(secret, MARK)
    return _without_runs(answer, wanted)


def matches_redacted(kept: str, text: str) -> bool:
    """Whether `text` is a stored answer as its client had it: marks stand for anything."""
    if MARK not in kept:
        return kept == text
    first, *between, last = kept.split(MARK)
    if not text.startswith(first):
        return False
    end = len(first)
    for piece in between:
        found = text.find(piece, end)
        if found < 0:
            return False
        end = found + len(piece)
    return text.endswith(last) and len(text) - len(last) >= end


def _without_tail(answer: str, secrets: Sequence[str]) -> str:
    """An answer that was broken off may end in the beginning of a span."""
    for secret in secrets:
        longest = min(len(secret), len(answer), _LONGEST_TAIL)
        for count in range(longest, LEAST - 1, -1):
            if answer.endswith(secret[:count]):
                return answer[:-count] + MARK
    return answer


def _without_runs(answer: str, secrets: Sequence[str]) -> str:
    runs = {run for secret in secrets for run in _telling(_words(secret))}
    lengths = sorted({len(run) for run in runs}, reverse=True)
    found = list(_WORD.finditer(answer))
    said = tuple(one[0].casefold() for one in found)
    hidden = [False] * len(said)
    for length in lengths:
        for place in range(len(said) - length + 1):
            if said[place : place + length] in runs:
                hidden[place : place + length] = [True] * length
    kept: list[str] = []
    end, place = 0, 0
    while place < len(found):
        first = place
        while place < len(found) and hidden[place]:
            place += 1
        if place > first:
            kept += (answer[end : found[first].start()], MARK)
            end = found[place - 1].end()
        else:
            place += 1
    return "".join((*kept, answer[end:]))


def _telling(words: Words) -> Iterator[Words]:
    """The runs of words by which a text is known again."""
    if len(words) < _RUN:
        if sum(map(len, words)) >= LEAST:
            yield words
    else:
        for place in range(len(words) - _RUN + 1):
            yield words[place : place + _RUN]
    for word in words:
        if len(word) >= LEAST and ("@" in word or any(map(str.isdigit, word))):
            yield (word,)


def _words(text: str) -> Words:
    return tuple(one[0].casefold() for one in _WORD.finditer(text))
