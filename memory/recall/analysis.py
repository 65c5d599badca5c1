"""Text to index terms: Unicode words, folded, stop words out, stemmed; CJK text as bigrams."""

import re

import Stemmer

from memory.recall.language import language as language_of

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")  # \u2019 is the typographic apostrophe
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_MOST_CACHED = 200_000


class Analyzer:
    """From text to terms, for a language that Snowball stems.

    Args:
        language: a Snowball algorithm such as `english` or `german`.

    Raises:
        KeyError: Snowball has no such algorithm.
    """

    def __init__(self, language: str = "english") -> None:
        self._stem = Stemmer.Stemmer(language).stemWord
        self._stop_words = language_of(language).stop_words
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> list[str]:
        """The terms of a text, in order."""
        return self.terms(words_of(text.casefold()))

    def terms(self, words: list[str]) -> list[str]:
        """The terms of folded words; stop words have none."""
        known = self._known
        found = [known[word] if word in known else self._term(word) for word in words]
        return [term for term in found if term]

    def content(self, words: list[str]) -> list[str]:
        """The words that are no stop words."""
        known = self._known
        return [word for word in words if (known[word] if word in known else self._term(word))]

    def _term(self, word: str) -> str:
        plain = word.replace("\u2019", "'")
        term = "" if plain in self._stop_words else self._stem(plain.removesuffix("'s"))
        if len(self._known) < _MOST_CACHED:
            self._known[word] = term
        return term


def words_of(folded: str) -> list[str]:
    """The words of a case-folded text; a run of CJK characters gives its pairs."""
    if not folded.isascii() and _CJK.search(folded):
        folded = _CJK.sub(_bigrams, folded)
    return _WORD.findall(folded)


def _bigrams(match: re.Match[str]) -> str:
    run = match[0]
    pairs = [run[index : index + 2] for index in range(len(run) - 1)]
    return f" {' '.join(pairs or [run])} "
