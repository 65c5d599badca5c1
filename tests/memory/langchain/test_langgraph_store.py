"""LangGraph's store: items of users, sync and async, searched, isolated, erased."""

import pytest
from langgraph.store.base import InvalidNamespaceError, PutOp

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.langgraph_store import OnionskinStore
from onionskin.memory.types.messages import User
from tests.conftest import RedisClient


async def test_items_are_put_got_changed_and_deleted(onionskin: Onionskin, user: User) -> None:
    store = OnionskinStore(onionskin, user)
    await store.aput(("notes", "a"), "one", {"text": "Biscuit is a dog.", "n": 1})
    first = await store.aget(("notes", "a"), "one")
    assert first
    assert first.value == {"text": "Biscuit is a dog.", "n": 1}
    await store.aput(("notes", "a"), "one", {"n": 2})
    second = await store.aget(("notes", "a"), "one")
    assert second
    assert (second.value, second.created_at) == ({"n": 2}, first.created_at)
    assert second.updated_at >= first.updated_at
    await store.adelete(("notes", "a"), "one")
    assert await store.aget(("notes", "a"), "one") is None


async def test_names_may_hold_any_character_and_never_meet(
    onionskin: Onionskin, user: User
) -> None:
    store = OnionskinStore(onionskin, user)
    await store.aput(("a/b", "c:d"), "{e}", {"n": 1})
    await store.aput(("a", "b/c:d"), "{e}", {"n": 2})
    one = await store.aget(("a/b", "c:d"), "{e}")
    other = await store.aget(("a", "b/c:d"), "{e}")
    assert one
    assert other
    assert (one.namespace, one.key, one.value["n"]) == (("a/b", "c:d"), "{e}", 1)
    assert other.value["n"] == 2


async def test_search_goes_by_meaning_by_filters_and_by_pages(
    onionskin: Onionskin, user: User
) -> None:
    store = OnionskinStore(onionskin, user, fields=["text"])
    for number, text in enumerate(["My dog is brown.", "The sky is blue.", "Taxes are due."]):
        await store.aput(("notes",), str(number), {"text": text, "n": number})
    await store.aput(("notes", "deep"), "x", {"other": "nothing to embed", "n": 9}, index=False)
    best, *_ = await store.asearch(("notes",), query="a puppy")
    assert best.value["n"] == 0
    assert best.score
    found = await store.asearch(("notes",), filter={"n": {"$gte": 1, "$lt": 9}})
    assert [one.value["n"] for one in found] == [2, 1]
    assert all(one.score is None for one in found)
    assert len(await store.asearch(("notes",), limit=2, offset=3)) == 1
    assert [one.key for one in await store.asearch(("notes", "deep"))] == ["x"]
    with pytest.raises(InvalidInputError, match=r"\$near"):
        await store.asearch(("notes",), filter={"n": {"$near": 1}})


async def test_namespaces_are_listed(onionskin: Onionskin, user: User) -> None:
    store = OnionskinStore(onionskin, user)
    for namespace in (("a", "b", "c"), ("a", "x"), ("z", "c")):
        await store.aput(namespace, "k", {"v": 1})
    assert await store.alist_namespaces() == [("a", "b", "c"), ("a", "x"), ("z", "c")]
    assert await store.alist_namespaces(max_depth=1) == [("a",), ("z",)]
    assert await store.alist_namespaces(prefix=("a",), suffix=("c",)) == [("a", "b", "c")]
    assert await store.alist_namespaces(prefix=("*", "x")) == [("a", "x")]


async def test_a_store_for_many_users_keeps_them_apart(onionskin: Onionskin) -> None:
    store = OnionskinStore(onionskin)
    await store.aput(("alice", "notes"), "k", {"v": "hers"})
    await store.aput(("bob", "notes"), "k", {"v": "his"})
    assert [one.value["v"] for one in await store.asearch(("bob",))] == ["his"]
    assert await store.alist_namespaces(prefix=("alice",)) == [("alice", "notes")]
    for whole in (
        store.asearch(()),
        store.alist_namespaces(),
        store.alist_namespaces(prefix=("*",)),
    ):
        with pytest.raises(InvalidInputError, match="user of the items"):
            await whole


async def test_erasing_a_user_erases_their_items(
    onionskin: Onionskin, user: User, redis: RedisClient
) -> None:
    store = OnionskinStore(onionskin)
    await store.aput((user.id, "notes"), "k", {"v": 1})
    await store.aput(("bob", "notes"), "k", {"v": 1})
    assert (await onionskin.store.deletion.erase_user(user)).keys
    assert not [name async for name in redis.scan_iter(f"*/{user.id}}}*")]
    assert await store.aget(("bob", "notes"), "k")


async def test_what_is_no_plain_data_is_refused_whole(onionskin: Onionskin, user: User) -> None:
    store = OnionskinStore(onionskin, user)
    good, bad = PutOp(("n",), "a", {"v": 1}), PutOp(("n",), "b", {"v": object()}, index=False)
    with pytest.raises(InvalidInputError, match="plain data"):
        await store.abatch([good, bad])
    assert await store.asearch(("n",)) == []
    with pytest.raises(InvalidNamespaceError):
        await store.aput((), "k", {"v": 1})


def test_it_works_without_an_event_loop(waiting: Onionskin, user: User) -> None:
    store = OnionskinStore(waiting, user)
    store.put(("notes",), "k", {"text": "Biscuit"})
    found = store.get(("notes",), "k")
    assert found
    assert found.value == {"text": "Biscuit"}
    assert [one.key for one in store.search(("notes",), query="Biscuit")] == ["k"]
    store.delete(("notes",), "k")
    assert store.list_namespaces() == []


async def test_a_synchronous_call_on_the_loop_says_so(onionskin: Onionskin, user: User) -> None:
    with pytest.raises(InvalidInputError, match="deadlock"):
        OnionskinStore(onionskin, user).get(("notes",), "k")
