"""A user's index as a vector store: LangChain's standard suite, sync and async, and beyond it."""

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.chat_history import OnionskinHistory
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.documents import Filter
from onionskin.memory.langchain.embeddings import OnionskinEmbeddings
from onionskin.memory.langchain.vectorstore import OnionskinVectorStore
from onionskin.memory.records.service import RecordService
from onionskin.memory.types.messages import User


class TestStandard(VectorStoreIntegrationTests):
    """The whole suite, on a real Redis."""

    @pytest.fixture
    def vectorstore(self, waiting: Onionskin) -> OnionskinVectorStore:  # pyright: ignore[reportIncompatibleMethodOverride]
        return OnionskinVectorStore(waiting, User("alice"))


def _is_first(document: Document) -> bool:
    return document.metadata["n"] == 1


_TEXTS = ["Biscuit is a brown dog.", "Taxes are due in May.", "The sky is blue.", "A dog barks."]


async def test_what_was_said_is_found_beside_what_was_noted(
    onionskin: Onionskin, user: User
) -> None:
    store, history = OnionskinVectorStore(onionskin, user), OnionskinHistory(onionskin, user, "s")
    await store.aadd_texts(_TEXTS)
    await history.aadd_messages([HumanMessage("My dog is called Biscuit.")])
    found = await store.asimilarity_search("What is the dog called?", k=2)
    assert {one.page_content for one in found} <= {"My dog is called Biscuit.", *_TEXTS}
    said = next(one for one in found if "role" in one.metadata)
    assert said.metadata["role"] == "user"
    noted = OnionskinVectorStore(onionskin, user, messages=False)
    assert not any("role" in one.metadata for one in await noted.asimilarity_search("dog", k=10))
    stranger = OnionskinVectorStore(onionskin, User("bob"))
    assert await stranger.asimilarity_search("dog", k=10) == []


async def test_scores_are_cosines_and_filters_hold(onionskin: Onionskin, user: User) -> None:
    store = OnionskinVectorStore(onionskin, user)
    await store.aadd_texts(_TEXTS, [{"n": number} for number in range(4)])
    scored = await store.asimilarity_search_with_score("a brown dog", k=4)
    cosines = [score for _, score in scored]
    assert cosines == sorted(cosines, reverse=True)
    assert scored[0][0].page_content == _TEXTS[0]
    wanted: list[Filter] = [{"n": 1}, _is_first]
    for one in wanted:
        found = await store.asimilarity_search("dog", k=4, filter=one)
        assert [document.metadata["n"] for document in found] == [1]
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.3, "k": 4}
    )
    near = await retriever.ainvoke("a brown dog")
    assert 0 < len(near) < 4


async def test_different_things_are_found_where_that_is_asked_for(
    onionskin: Onionskin, user: User
) -> None:
    store = OnionskinVectorStore(onionskin, user)
    await store.aadd_texts(["A brown dog.", "A brown dog!", "Brown bread with a dog."])
    plain = await store.asimilarity_search_with_score("a brown dog", k=2)
    diverse = await store.amax_marginal_relevance_search("a brown dog", k=2, lambda_mult=0.1)
    assert {one.page_content for one, _ in plain} == {"A brown dog.", "A brown dog!"}
    assert "Brown bread with a dog." in {one.page_content for one in diverse}
    vector = await OnionskinEmbeddings(onionskin).aembed_query("brown bread")
    found = await store.asimilarity_search_by_vector(vector, k=1)
    assert found[0].page_content == "Brown bread with a dog."


async def test_a_document_is_a_memory_and_goes_with_the_user(
    onionskin: Onionskin, user: User
) -> None:
    store = OnionskinVectorStore(onionskin, user)
    (made,) = await store.aadd_texts(["Pin: <private>1234</private>."], [{"of": "bank"}])
    assert await store.aadd_documents([Document("New.", id=made)]) == [made]
    await store.aadd_texts(["One.", "Two."], ids=["x", "x"])
    memories = RecordService(onionskin.store, onionskin.indexes, onionskin.embedder)
    kept = {one.content: one for one in await memories.index(user)}
    assert set(kept) == {"New.", "Two."}
    assert kept["Two."].kind == "note"
    await onionskin.store.deletion.erase_user(user)
    assert await store.asimilarity_search("new", k=9) == []
    with pytest.raises(InvalidInputError, match="ids of the documents"):
        await store.adelete()
    with pytest.raises(InvalidInputError, match="metadata for 2"):
        await store.aadd_texts(["a"], [{}, {}])
    with pytest.raises(InvalidInputError, match="2 ids"):
        await store.aadd_texts(["a"], ids=["b", "c"])


def test_it_works_without_an_event_loop(waiting: Onionskin, user: User) -> None:
    store = OnionskinVectorStore.from_texts(_TEXTS, onionskin=waiting, user=user)
    assert store.similarity_search_with_score("a brown dog", k=1)[0][0].page_content == _TEXTS[0]
    vector = store.embeddings.embed_query("a brown dog")
    assert store.similarity_search_by_vector(vector, k=1)[0].page_content == _TEXTS[0]
    assert len(store.max_marginal_relevance_search("dog", k=2)) == 2
    assert len(store.max_marginal_relevance_search_by_vector(vector, k=2)) == 2
    with pytest.raises(InvalidInputError, match="embeds by itself"):
        OnionskinVectorStore.from_texts(
            _TEXTS, VectorStoreIntegrationTests.get_embeddings(), onionskin=waiting, user=user
        )


async def test_documents_that_are_not_current_are_not_found(
    onionskin: Onionskin, user: User
) -> None:
    store = OnionskinVectorStore(onionskin, user)
    memories = RecordService(onionskin.store, onionskin.indexes, onionskin.embedder)
    outdated, archived, current = await store.aadd_texts(["A dog.", "Dogs.", "Two dogs."])
    await memories.update(user, outdated, {"valid_to": 1.0})
    await memories.update(user, archived, {"archived": True})
    vector = (await onionskin.embedder.embed(["dog"]))[0].tolist()
    for found in (
        await store.asimilarity_search("A dog.", k=9),
        await store.asimilarity_search_by_vector(vector, k=9),
    ):
        assert [one.id for one in found] == [current]
