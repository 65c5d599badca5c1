"""Days that a text names, in several load_languages, absolute and relative."""

from datetime import date

import pytest

from onionskin.memory.retrieval.language.analyzer import get_language, load_languages, looks_like
from onionskin.memory.retrieval.language.dates import offsets, spans
from onionskin.memory.time_zones import local_day

_NOW = date(2024, 3, 15)  # a Friday


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("What did we do on 25 May, 2022?", "english", ("2022-05-25", "2022-05-25")),
        ("on May 25th 2022", "english", ("2022-05-25", "2022-05-25")),
        ("on the 3rd of June 2023", "english", ("2023-06-03", "2023-06-03")),
        ("in June 2023", "english", ("2023-06-01", "2023-06-30")),
        ("in 2022", "english", ("2022-01-01", "2022-12-31")),
        ("on 2023-11-05", "english", ("2023-11-05", "2023-11-05")),
        ("what happened yesterday?", "english", ("2024-03-14", "2024-03-14")),
        ("two weeks ago", "english", ("2024-02-27", "2024-03-04")),
        ("last monday", "english", ("2024-03-11", "2024-03-11")),
        ("Was war am 3. Juni 2023?", "german", ("2023-06-03", "2023-06-03")),
        ("vor zwei Tagen", "german", ("2024-03-13", "2024-03-13")),
        ("el 3 de junio de 2023", "spanish", ("2023-06-03", "2023-06-03")),
        ("le 3 juin 2023", "french", ("2023-06-03", "2023-06-03")),
        ("2023年6月3日", "japanese", ("2023-06-03", "2023-06-03")),
        ("昨日の話", "japanese", ("2024-03-14", "2024-03-14")),
    ],
)
def test_a_day_is_found(text: str, name: str, expected: tuple[str, str]) -> None:
    found = {
        (date.fromordinal(span.first).isoformat(), date.fromordinal(span.last).isoformat())
        for span in spans(text, _NOW, get_language(name))
    }
    assert expected in found


def test_a_bare_month_is_of_any_year_and_may_is_a_verb() -> None:
    (span,) = spans("What happened in May?", _NOW, get_language("english"))
    assert (span.any_year, span.month, span.grain) == (True, 5, "month")
    assert spans("What may I eat?", _NOW, get_language("english")) == []


@pytest.mark.parametrize(
    "text", ["", "31 February 2023", "99999999999 weeks ago", "2023-13-45", "0 days ago", "\x00"]
)
def test_what_is_no_day_names_none(text: str) -> None:
    assert [
        span for span in spans(text, _NOW, get_language("english")) if span.grain == "day"
    ] == []


def test_yesterday_is_the_day_before_the_message() -> None:
    (offset,) = offsets("we went there last friday", _NOW, get_language("english"))
    assert (offset.days, offset.slack) == (7, 0)


@pytest.mark.parametrize("at", [1e18, -1e18, float("inf"), 0.0])
def test_an_impossible_time_has_a_day(at: float) -> None:
    assert date.min <= local_day(at) <= date.max


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Where does she live?", "english"),
        ("Wo wohnt sie denn jetzt?", "german"),
        ("¿Dónde vive ella con su perro?", "spanish"),
        ("Où est-ce que le chat dort dans la maison ?", "french"),
    ],
)
def test_a_language_is_distinguished_from_the_others(text: str, name: str) -> None:
    assert looks_like(text, name)
    others = [other for other in load_languages() if other not in {name, "japanese"}]
    assert not any(looks_like(text, other) for other in others)
    assert not looks_like("東京はどこ", name)
