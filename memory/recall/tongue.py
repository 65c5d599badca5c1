"""How an index reads: the analysis, the words of time, and the word vectors of one language."""

from dataclasses import dataclass

from memory.recall.analysis import Analyzer
from memory.recall.language import Language, language
from memory.recall.word_vectors import WordVectors, word_vectors


@dataclass(frozen=True, slots=True)
class Tongue:
    """Made once, shared by all indexes of a process."""

    name: str
    words: Language
    analyze: Analyzer
    vectors: WordVectors

    @classmethod
    def of(cls, name: str = "english") -> "Tongue":
        """For a language that Snowball stems.

        Raises:
            KeyError: Snowball has no such language.
        """
        return cls(name, language(name), Analyzer(name), word_vectors())
