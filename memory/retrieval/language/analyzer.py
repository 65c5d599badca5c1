"""Text analysis: words, index terms, and the word lists of each language.

Terms are Unicode words, case-folded and stemmed, without stop words; CJK text becomes bigrams.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec
import Stemmer

from onionskin.memory.retrieval.language.word_vectors import WordVectors, word_vectors

TIME, FIRST, SECOND, NUMBER = 1, 2, 4, 8
"""Kinds of words: time, first and second person, number."""

_CJK_CHARACTERS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_CJK, _CJK_RUN = re.compile(f"[{_CJK_CHARACTERS}]"), re.compile(f"[{_CJK_CHARACTERS}]+")
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")  # \u2019 is the typographic apostrophe
_MAX_CACHED = 200_000


@dataclass(frozen=True, slots=True)
class TextPipeline:
    """The analysis of one language; one object is shared by all indexes of a process.

    Attributes:
        name: Name of the language.
        words: Its word lists.
        analyze: Turns text into index terms.
        vectors: Vectors of single words.
    """

    name: str
    words: "Language"
    analyze: "Analyzer"
    vectors: WordVectors

    @classmethod
    def for_language(cls, name: str = "english") -> "TextPipeline":
        """The pipeline for a language that Snowball stems.

        Raises:
            KeyError: Snowball has no such language.
        """
        return cls(name, get_language(name), Analyzer(name), word_vectors())


class Analyzer:
    """Turns text into index terms, for a language that Snowball stems.

    Args:
        language: A Snowball algorithm such as `english` or `german`.

    Raises:
        KeyError: Snowball has no such algorithm.
    """

    def __init__(self, language: str = "english") -> None:
        self._stem = Stemmer.Stemmer(language).stemWord
        self._stop_words = get_language(language).stop_words
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> list[str]:
        """The terms of a text, in order."""
        return self.terms(words_of(text.casefold()))

    def terms(self, words: list[str]) -> list[str]:
        """The terms of case-folded words; stop words have none."""
        known = self._known
        terms = [known[word] if word in known else self._term(word) for word in words]
        return list(filter(None, terms))

    def content(self, words: list[str]) -> list[str]:
        """The words without stop words."""
        known = self._known
        return [word for word in words if (known[word] if word in known else self._term(word))]

    def _term(self, word: str) -> str:
        plain = word.replace("\u2019", "'")
        term = "" if plain in self._stop_words else self._stem(plain.removesuffix("'s"))
        if len(self._known) < _MAX_CACHED:
            self._known[word] = term
        return term


def words_of(folded: str) -> list[str]:
    """The words of a case-folded text; a run of CJK characters becomes its bigrams."""
    if not folded.isascii() and _CJK.search(folded):
        folded = _CJK_RUN.sub(_bigrams, folded)
    return _WORD.findall(folded)


def _bigrams(match: re.Match[str]) -> str:
    run = match[0]
    pairs = [run[index : index + 2] for index in range(len(run) - 1)]
    return f" {' '.join(pairs or [run])} "


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    stop_words: str
    first_person: str
    second_person: str
    asks_when: list[str]
    time_words: list[str]
    months: list[str]
    weekdays: list[str]
    last: list[str]
    ago: str
    numbers: dict[str, int]
    units: dict[str, int]
    days_ago: dict[str, int]


class Language:
    """The word lists of one language, from `languages.toml`; all lower case.

    Attributes:
        stop_words: Words without content.
        first_person: `I`, `my`, `we`, ...
        second_person: `you`, `your`, ...
        asks_when: Pattern of a question for a time.
        time_words: Words of time, month names included.
        months: Month names to 1..12.
        month: Pattern of a month name.
        weekdays: Weekday names with the language's word for `last`, to 0..6.
        days_ago: Expressions such as `yesterday` to days.
        numbers: Number words to numbers.
        units: Units of time to days.
        kinds: Words to the sum of their kinds: `TIME`, `FIRST`, `SECOND`, `NUMBER`.
        ago: Pattern of `two weeks ago`, with the groups number and unit; or None.
        relative: Pattern of an expression in `days_ago` or `weekdays`.
    """

    def __init__(self, table: _Table) -> None:
        self.stop_words = frozenset(table.stop_words.split())
        self.first_person = frozenset(table.first_person.split())
        self.second_person = frozenset(table.second_person.split())
        self.asks_when = word_pattern(table.asks_when)
        self.time_words = frozenset([*table.time_words, *table.months])
        self.months = {name: number for number, name in enumerate(table.months, 1)}
        self.month = word_pattern(table.months)
        self.weekdays = {
            f"{last} {name}": number
            for number, name in enumerate(table.weekdays)
            for last in table.last
        }
        self.days_ago = table.days_ago
        self.numbers, self.units = table.numbers, table.units
        self.kinds: dict[str, int] = {}
        for kind, members in (
            (TIME, self.time_words),
            (FIRST, self.first_person),
            (SECOND, self.second_person),
            (NUMBER, self.numbers),
        ):
            for word in members:
                self.kinds[word] = self.kinds.get(word, 0) | kind
        unit = "|".join(map(re.escape, table.units))
        self.ago = re.compile(table.ago.format(unit=f"({unit})")) if unit else None
        self.relative = word_pattern([*self.days_ago, *self.weekdays])


def word_pattern(choices: list[str]) -> re.Pattern[str]:
    """A pattern of any of the words; whole words in scripts that separate them."""
    if not choices:
        return re.compile(r"(?!)")
    longest_first = sorted(choices, key=len, reverse=True)
    cjk = [re.escape(word) for word in longest_first if _CJK.search(word)]
    whole = [re.escape(word) for word in longest_first if not _CJK.search(word)]
    patterns = [rf"(?<!\w)(?:{'|'.join(whole)})(?!\w)"] if whole else []
    return re.compile("|".join(patterns + [rf"(?<!\d)(?:{'|'.join(cjk)})"] * bool(cjk)))


@cache
def load_languages() -> dict[str, Language]:
    """All languages with word lists, by their Snowball name where they have one."""
    data = files("onionskin.memory.retrieval.language").joinpath("languages.toml").read_bytes()
    tables = msgspec.toml.decode(data, type=dict[str, _Table])
    return {name: Language(table) for name, table in tables.items()}


_EMPTY = _Table("", "", "", [], [], [], [], [], "", {}, {}, {})


def get_language(name: str) -> Language:
    """The language by name; an unknown one has empty word lists."""
    return load_languages().get(name) or Language(_EMPTY)


def looks_like(text: str, name: str) -> bool:
    """Whether a text may be in a language: no other language has more stop words in it."""
    if _CJK.search(text):
        return False
    text_words = re.findall(r"[\w']+", text.casefold())
    own = sum(word in get_language(name).stop_words for word in text_words)
    others = (known for other, known in load_languages().items() if other != name)
    return all(sum(word in known.stop_words for word in text_words) <= own for known in others)
