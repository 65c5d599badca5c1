"""Filters: what matches, and what is refused by name; the same for documents and for items."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.chat_history import OnionskinHistory
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.langgraph_store import OnionskinStore
from onionskin.memory.langchain.vectorstore import OnionskinVectorStore
from onionskin.memory.types.filters import compile_filter
from onionskin.memory.types.messages import User

_LATER = datetime(2026, 6, 1, 1, tzinfo=timezone(timedelta(hours=2)))
_VALUES: dict[str, dict[str, Any]] = {
    "one": {"n": 1, "city": "Rome", "at": "2026-01-01T08:00:00+09:00", "tags": ["a", "b"]},
    "two": {"n": 2.5, "city": "Oslo", "at": "2025-12-31T23:30:00Z", "deep": {"n": 7}},
    "text": {"n": "10", "city": None, "at": "2026-07-01"},
    "true": {"n": True, "at": 1_800_000_000},
    "none": {"other": 0},
}
_CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set(_VALUES)),
    ({"n": 1}, {"one"}),
    ({"n": True}, {"true"}),
    ({"n": "1"}, set()),
    ({"n": {"$eq": 2.5}}, {"two"}),
    ({"n": {"$ne": 1}}, {"two", "text", "true", "none"}),
    ({"n": {"$in": [1, "10", 99]}}, {"one", "text"}),
    ({"n": {"$in": []}}, set()),
    ({"n": {"$in": (True,)}}, {"true"}),
    ({"n": {"$nin": [1, 2.5]}}, {"text", "true", "none"}),
    ({"tags": {"$in": ["b", "z"]}}, {"one"}),
    ({"tags": {"$in": [["a", "b"]]}}, {"one"}),
    ({"tags": ["a", "b"]}, {"one"}),
    ({"n": {"$gt": 1}}, {"two", "text"}),
    ({"n": {"$gte": "1"}}, {"one", "two", "text"}),
    ({"n": {"$gte": 1, "$lt": 2.5}}, {"one"}),
    ({"n": {"$lte": 2.5}}, {"one", "two"}),
    ({"city": {"$gt": "P"}}, {"one"}),
    ({"city": None}, {"text", "true", "none"}),
    ({"city": {"$exists": True}}, {"one", "two", "text"}),
    ({"city": {"$exists": False}}, {"true", "none"}),
    ({"deep": {"n": {"$gt": 6}}}, {"two"}),
    ({"deep": {"n": 8}}, set()),
    ({"at": {"$gt": "2025-12-31T23:15:00Z"}}, {"two", "text"}),
    ({"at": {"$gte": "2026-01-01T00:00:00+01:00"}}, {"one", "two", "text"}),
    ({"at": {"$lt": "2026-01-01"}}, {"one", "two"}),
    ({"at": {"$lt": date(2026, 1, 1)}}, {"one", "two"}),
    ({"at": {"$gt": _LATER}}, {"text"}),
    ({"at": {"$gt": datetime(2026, 6, 1)}}, {"text"}),  # noqa: DTZ001 - without a zone it is UTC
    ({"at": datetime(2025, 12, 31, 23, tzinfo=UTC)}, {"one"}),
    ({"at": {"$in": [datetime(2025, 12, 31, 23, tzinfo=UTC)]}}, {"one"}),
    ({"$or": [{"n": 1}, {"city": "Oslo"}]}, {"one", "two"}),
    ({"$and": [{"n": {"$gt": 1}}, {"city": "Oslo"}]}, {"two"}),
    ({"$or": [{"$and": [{"n": 1}, {"city": "Rome"}]}, {"n": "10"}]}, {"one", "text"}),
    ({"n": {"$gt": 0}, "$or": [{"city": "Rome"}]}, {"one"}),
]
_REFUSED: list[tuple[Any, str]] = [
    ({"n": {"$near": 1}}, r"\$near"),
    ({"n": {"$regex": "a"}}, r"\$regex"),
    ({"n": {"$not": {"$gt": 1}}}, r"\$not"),
    ({"n": {"$gt": 1, "other": 2}}, "other"),
    ({"n": {"$or": [1]}}, r"\$or"),
    ({"$gt": 1}, r"\$gt"),
    ({"$nor": [{"n": 1}]}, r"\$nor"),
    ({"$and": {"n": 1}}, r"\$and"),
    ({"$or": []}, r"\$or"),
    ({"$or": ["n"]}, "mapping"),
    ({"n": {"$in": "abc"}}, r"\$in"),
    ({"n": {"$in": 1}}, r"\$in"),
    ({"n": {"$nin": {"a": 1}}}, r"\$nin"),
    ({"n": {"$exists": 1}}, r"\$exists"),
    ({"n": {"$gt": None}}, r"\$gt"),
    ({"n": {"$gt": True}}, r"\$gt"),
    ({"n": {"$lt": [1]}}, r"\$lt"),
    ({"n": {"$lt": float("nan")}}, r"\$lt"),
    ({1: 2}, "names its fields"),
    ("n = 1", "mapping"),
]


@pytest.mark.parametrize(("condition", "names"), _CASES)
def test_a_filter_matches_by_type_and_value(condition: dict[str, Any], names: set[str]) -> None:
    matches = compile_filter(condition)
    assert {name for name, value in _VALUES.items() if matches(value)} == names


@pytest.mark.parametrize(("condition", "reason"), _REFUSED)
def test_what_a_filter_cannot_express_is_refused_by_name(condition: Any, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        compile_filter(condition)


async def test_documents_and_items_are_filtered_alike(onionskin: Onionskin, user: User) -> None:
    documents = OnionskinVectorStore(onionskin, user)
    items = OnionskinStore(onionskin, user)
    names = list(_VALUES)
    await documents.aadd_texts(
        [f"A dog called {name}." for name in names], list(_VALUES.values()), ids=names
    )
    for name, value in _VALUES.items():
        await items.aput(("n",), name, value)
    vector = await documents.embeddings.aembed_query("dog")
    for condition, expected in _CASES:
        if not condition:
            continue
        found = await items.asearch(("n",), filter=condition, limit=50)
        assert {one.key for one in found} == expected, condition
        for search in (
            documents.asimilarity_search("dog", k=9, filter=condition),
            documents.asimilarity_search_by_vector(vector, k=9, filter=condition),
            documents.amax_marginal_relevance_search("dog", k=9, filter=condition),
        ):
            assert {one.id for one in await search} == expected, condition


async def test_an_unknown_operator_is_refused_even_where_nothing_is_stored(
    onionskin: Onionskin, user: User
) -> None:
    documents, items = OnionskinVectorStore(onionskin, user), OnionskinStore(onionskin, user)
    for condition, reason in _REFUSED:
        with pytest.raises(InvalidInputError, match=reason):
            await documents.asimilarity_search("dog", filter=condition)
        with pytest.raises(InvalidInputError, match=reason):
            await items.asearch(("n",), filter=condition)


async def test_messages_are_filtered_by_time(onionskin: Onionskin, user: User) -> None:
    history = OnionskinHistory(onionskin, user, "s")
    await history.aadd_messages([HumanMessage("My dog is called Biscuit.")])
    store = OnionskinVectorStore(onionskin, user)
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert await store.asimilarity_search("dog", filter={"at": {"$gt": now - hour}})
    assert not await store.asimilarity_search("dog", filter={"at": {"$gt": now + hour}})
    assert await store.asimilarity_search(
        "dog", filter={"role": {"$in": ["user"]}, "at": {"$lt": (now + hour).isoformat()}}
    )


async def test_metadata_of_a_document_is_replaced_when_it_is_added_again(
    onionskin: Onionskin, user: User
) -> None:
    store = OnionskinVectorStore(onionskin, user)
    (made,) = await store.aadd_texts(["One."], [{"a": 1, "b": {"c": 1}}])
    await store.aadd_texts(["Two."], [{"b": {"d": 2}}], ids=[made])
    (document,) = await store.aget_by_ids([made])
    assert (document.page_content, document.metadata) == ("Two.", {"b": {"d": 2}})
