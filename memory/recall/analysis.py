"""Text to index terms: Unicode words, folded, stop words out, stemmed; CJK text as bigrams."""

import re
from collections.abc import Callable

import Stemmer

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")  # \u2019 is the typographic apostrophe
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

ENGLISH_STOP_WORDS = frozenset(
    """
    a about above after again all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from
    further had has have having he her here hers him his how i if in into is it its itself
    just me more most my no nor not now of off on once only or other our ours out over own
    same she should so some such than that the their theirs them then there these they this
    those through to too under until up us very was we were what when where which while who
    whom why will with would you your yours i'm i've i'd i'll it's that's you're don't didn't
    what's he's she's we're they're can't won't isn't
    """.split()
)

Analyzer = Callable[[str], list[str]]


def analyzer(language: str = "english") -> Analyzer:
    """The function from text to terms for a language that Snowball stems.

    Args:
        language: a Snowball algorithm such as `english` or `german`; stop words are English only.

    Raises:
        KeyError: Snowball has no such algorithm.
    """
    stem = Stemmer.Stemmer(language).stemWords
    stop_words = ENGLISH_STOP_WORDS if language == "english" else frozenset[str]()

    def terms(text: str) -> list[str]:
        folded = text.casefold()
        if _CJK.search(folded):
            folded = _CJK.sub(_bigrams, folded)
        words = [word.replace("\u2019", "'") for word in _WORD.findall(folded)]
        return stem([word.removesuffix("'s") for word in words if word not in stop_words])

    return terms


def _bigrams(match: re.Match[str]) -> str:
    run = match[0]
    pairs = [run[index : index + 2] for index in range(len(run) - 1)]
    return f" {' '.join(pairs or [run])} "
