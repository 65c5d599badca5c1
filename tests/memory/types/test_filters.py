"""Filters over metadata: what they admit, and what they refuse by name."""

from typing import Any

import pytest

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.types.filters import compile_filter

_DOG = {
    "topic": "dogs",
    "year": 2024,
    "pinned": True,
    "tags": ["pets", "home"],
    "at": "2026-03-01T09:00:00+02:00",
    "place": {"city": "Porto"},
}

_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"year": {"$near": 1}}, "$near"),
    ({"$nor": [{}]}, "$nor"),
    ({"year": {"$in": 3}}, "$in"),
    ({"year": {"$gt": None}}, "$gt"),
    ({"year": {"$exists": 1}}, "$exists"),
    ({"$or": {}}, "$or"),
    ({"$not": 3}, "3"),
    ({str(number): 1 for number in range(101)}, "100"),
]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"topic": "dogs", "year": 2024},
        {"topic": {"$in": ["cats", "dogs"]}},
        {"topic": {"$nin": ["cats"]}, "missing": {"$nin": ["x"]}},
        {"year": {"$gt": 2023, "$lte": 2024}},
        {"tags": "home"},
        {"tags": {"$in": ["work", "pets"]}},
        {"at": {"$gte": "2026-03-01T07:00:00Z", "$lt": "2026-03-02"}},
        {"topic": {"$gt": "cats"}},
        {"missing": {"$exists": False}, "topic": {"$exists": True}},
        {"missing": {"$ne": 1}},
        {"missing": None},  # as in MongoDB and LangGraph
        {"year": {"$gt": "2000"}},
        {"place": {"city": "Porto"}},
        {"place.city": {"$eq": "Porto"}},
        {"$or": [{"year": 1}, {"topic": "dogs"}]},
        {"$and": [{"year": 2024}, {"$not": {"topic": "cats"}}]},
    ],
)
def test_a_filter_admits_what_fulfils_it(wanted: dict[str, Any]) -> None:
    assert compile_filter(wanted)(_DOG)


@pytest.mark.parametrize(
    "wanted",
    [
        {"topic": "cats"},
        {"topic": {"$in": []}},
        {"topic": {"$nin": ["dogs"]}},
        {"year": {"$gt": 2024}},
        {"year": "2024"},
        {"topic": None},
        {"year": {"$gt": "2024"}},
        {"topic": {"$gt": 2000}},
        {"pinned": 1},
        {"pinned": {"$gt": 0}},
        {"missing": {"$lt": 5}},
        {"at": {"$gt": "2026-03-01T07:00:00Z"}},  # the same moment
        {"place.country": "Portugal"},
        {"$or": [{"year": 1}, {"year": 2}]},
    ],
)
def test_a_filter_leaves_out_what_does_not(wanted: dict[str, Any]) -> None:
    assert not compile_filter(wanted)(_DOG)


@pytest.mark.parametrize(("wanted", "named"), _REFUSED)
def test_what_a_filter_does_not_support_is_refused_by_name(
    wanted: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"\\{named}" if named[0] == "$" else named):
        compile_filter(wanted)
