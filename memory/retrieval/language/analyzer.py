"""What recall knows of a language: its stop words and its words of time, from `languages.toml`.

Text to index terms: Unicode words, folded, stop words out, stemmed; CJK text as bigrams.

How an index reads: the analysis, the words of time, and the word vectors of one language.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec
import Stemmer

from onionskin.memory.retrieval.language.word_vectors import WordVectors, word_vectors

_CJK_CHARACTERS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"

TIME, FIRST, SECOND, NUMBER = 1, 2, 4, 8


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
    """The words of one language that recall looks at; all lower case.

    Attributes:
        stop_words: what carries no content.
        first_person: `I`, `my`, `we`, ...
        second_person: `you`, `your`, ...
        asks_when: finds a question after a time.
        time_words: words of time.
        months: from month names to 1..12.
        weekdays: from names, `last` in front where the language has it so, to 0..6.
        days_ago: from expressions such as `yesterday` to days.
        kinds: which of time, first and second person, and number a word is of; their sum.
        ago: `two weeks ago`: groups `number` and `unit`, or None.
    """

    def __init__(self, table: _Table) -> None:
        self.stop_words = frozenset(table.stop_words.split())
        self.first_person = frozenset(table.first_person.split())
        self.second_person = frozenset(table.second_person.split())
        self.asks_when = words(table.asks_when)
        self.time_words = frozenset([*table.time_words, *table.months])
        self.months = {name: number for number, name in enumerate(table.months, 1)}
        self.month = words(table.months)
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
        self.relative = words([*self.days_ago, *self.weekdays])


def words(choices: list[str]) -> re.Pattern[str]:
    """A pattern that finds any of the words, whole where the script has words."""
    if not choices:
        return re.compile(r"(?!)")
    longest_first = sorted(choices, key=len, reverse=True)
    cjk = [re.escape(one) for one in longest_first if re.search(f"[{_CJK_CHARACTERS}]", one)]
    whole = [re.escape(one) for one in longest_first if not re.search(f"[{_CJK_CHARACTERS}]", one)]
    patterns = [rf"(?<!\w)(?:{'|'.join(whole)})(?!\w)"] if whole else []
    return re.compile("|".join(patterns + [rf"(?<!\d)(?:{'|'.join(cjk)})"] * bool(cjk)))


@cache
def languages() -> dict[str, Language]:
    """Every language of the table, by Snowball's name of it where it has one."""
    data = files("onionskin.memory.retrieval.language").joinpath("languages.toml").read_bytes()
    tables = msgspec.toml.decode(data, type=dict[str, _Table])
    return {name: Language(table) for name, table in tables.items()}


_EMPTY = _Table("", "", "", [], [], [], [], [], "", {}, {}, {})


def language(name: str) -> Language:
    """The language by name; one without a table has no words of its own."""
    return languages().get(name) or Language(_EMPTY)


def looks_like(text: str, name: str) -> bool:
    """Whether `text` may be in the language: no other one's stop words stand in it more often."""
    if re.search(f"[{_CJK_CHARACTERS}]", text):
        return False
    said = re.findall(r"[\w']+", text.casefold())
    own = sum(word in language(name).stop_words for word in said)
    others = (known for other, known in languages().items() if other != name)
    return all(sum(word in known.stop_words for word in said) <= own for known in others)


language_of = language

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


@dataclass(frozen=True, slots=True)
class TextPipeline:
    """Made once, shared by all indexes of a process."""

    name: str
    words: Language
    analyze: Analyzer
    vectors: WordVectors

    @classmethod
    def for_language(cls, name: str = "english") -> "TextPipeline":
        """For a language that Snowball stems.

        Raises:
            KeyError: Snowball has no such language.
        """
        return cls(name, language(name), Analyzer(name), word_vectors())
