"""LangGraph's long-term store on plain Redis or Valkey: a user's items, under namespaces."""

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import numpy as np
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    get_text_at_path,
    validate_op_namespace,
)

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.retrieval import embed_with_timeout
from onionskin.memory.store import ItemContent, StoredItem, pack_vector, unpack_vector
from onionskin.memory.types.filters import compile_filter
from onionskin.memory.types.messages import User, Vector


def matching_namespaces(
    operation: ListNamespacesOp, namespaces: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """The namespaces that an operation lists, sorted."""
    conditions = operation.match_conditions or ()
    found = {
        one[: operation.max_depth]
        for one in namespaces
        if all(_is_under(condition, one) for condition in conditions)
    }
    return sorted(found)[operation.offset : operation.offset + operation.limit]


def _is_under(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    size = len(path)
    part = namespace[:size] if condition.match_type == "prefix" else namespace[-size:]
    return all(wanted in {"*", one} for one, wanted in zip(part, path, strict=size > 0))


_EMBED_SECONDS = 30.0
_WHOLE = "$"


class OnionskinStore(BaseStore):
    """Stores and searches items of users, with Onionskin's embedder; erasing a user erases them.

    Args:
        onionskin: The open memory.
        user: Owner of the items. None for a graph that serves many users: the first name of each
            namespace is then the user's id, and operations across users are rejected.
        tenant: Tenant of the users that namespaces name.
        fields: Paths of the embedded parts of a value (`text`, `a.b[*].c`); `$` is all of it.
    """

    def __init__(
        self,
        onionskin: Onionskin,
        user: User | None = None,
        *,
        tenant: str = "default",
        fields: Sequence[str] = (_WHOLE,),
    ) -> None:
        self._store, self._embedder, self._event_loop = (
            onionskin.store,
            onionskin.embedder,
            onionskin.event_loop,
        )
        self._user, self._tenant, self._fields = user, tenant, tuple(fields)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """As `abatch`, from a thread without an event loop."""
        return self._event_loop.run_blocking(self._batch(list(ops)))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations: first all reads, then all writes.

        Raises:
            InvalidInputError: An operation names no user or several, or its value is not plain
                data.
        """
        return await self._event_loop.run(self._batch(list(ops)))

    async def _batch(self, operations: Sequence[Op]) -> list[Result]:
        for one in operations:
            validate_op_namespace(one)
        results = [await self._read(one) for one in operations]
        puts = [one for one in operations if isinstance(one, PutOp)]
        for user in dict.fromkeys(self._owner(one.namespace) for one in puts):
            own = {
                (one.namespace, one.key): one for one in puts if self._owner(one.namespace) == user
            }
            await self._put(user, list(own.values()))
        return results

    async def _read(self, operation: Op) -> Result:
        match operation:
            case GetOp(namespace, key):
                found = await self._store.langgraph_items.get(
                    self._owner(namespace), namespace, key
                )
                return found and Item(**_fields(found))
            case SearchOp():
                return cast("Result", await self._search(operation))
            case ListNamespacesOp():
                return await self._namespaces(operation)
            case _:
                return None

    async def _put(self, user: User, puts: Sequence[PutOp]) -> None:
        now = time.time()
        texts = [self._texts(one) for one in puts]
        flat = [text for some in texts for text in some]
        vectors = iter(await embed_with_timeout(self._embedder, flat, _EMBED_SECONDS))
        packed = partial(pack_vector, self._embedder.tag)
        items = [
            (
                one.namespace,
                one.key,
                None
                if one.value is None
                else ItemContent(
                    dict(one.value),
                    now,
                    tuple(packed(vector) for _ in some if (vector := next(vectors)) is not None),
                ),
            )
            for one, some in zip(puts, texts, strict=True)
        ]
        await self._store.langgraph_items.put(user, items, now=now)

    def _texts(self, put: PutOp) -> list[str]:
        if put.value is None or put.index is False:
            return []
        value = dict(put.value)
        paths = self._fields if put.index is None else tuple(put.index)
        texts = [_text(value)] if _WHOLE in paths else []
        return texts + [
            text for path in paths if path != _WHOLE for text in get_text_at_path(value, path)
        ]

    async def _search(self, operation: SearchOp) -> list[SearchItem]:
        prefix, matches = (
            operation.namespace_prefix,
            compile_filter({} if operation.filter is None else operation.filter),
        )
        user = self._owner(prefix)
        paths = [
            path
            for path in await self._store.langgraph_items.paths(user)
            if path[0][: len(prefix)] == prefix
        ]
        found = [
            one
            for one in await self._store.langgraph_items.read(user, paths)
            if matches(one.content.value)
        ]
        found.sort(key=lambda one: (-one.content.updated, one.namespace, one.name))
        vector = None
        if operation.query:
            (vector,) = await embed_with_timeout(self._embedder, [operation.query], _EMBED_SECONDS)
        scored = [(self._similarity(one, vector), one) for one in found]
        if vector is not None:
            scored.sort(key=lambda pair: -2.0 if pair[0] is None else pair[0], reverse=True)
        page = scored[operation.offset : operation.offset + operation.limit]
        return [SearchItem(**_fields(one), score=score) for score, one in page]

    def _similarity(self, item: StoredItem, query: Vector | None) -> float | None:
        """The greatest cosine similarity of an item's vectors; None if it has none."""
        if query is None:
            return None
        held = [unpack_vector(one, self._embedder.tag) for one in item.content.vectors]
        return max(
            (float(one.astype(np.float32) @ query) for one in held if one is not None), default=None
        )

    async def _namespaces(self, operation: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = operation.match_conditions or ()
        first = next((one.path for one in conditions if one.match_type == "prefix"), ())
        user = self._owner(() if first[:1] == ("*",) else first)
        paths = await self._store.langgraph_items.paths(user)
        return matching_namespaces(operation, [namespace for namespace, _ in paths])

    def _owner(self, namespace: Sequence[str]) -> User:
        if self._user:
            return self._user
        if not namespace:
            raise InvalidInputError(
                "Name the user of the items: the first name of a namespace is the user's id, as in "
                '("alice", "notes"); or give the store a user.'
            )
        return User(namespace[0], self._tenant)


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _fields(item: StoredItem) -> dict[str, Any]:
    return {
        "value": item.content.value,
        "key": item.name,
        "namespace": item.namespace,
        "created_at": datetime.fromtimestamp(item.began, UTC),
        "updated_at": datetime.fromtimestamp(item.content.updated, UTC),
    }
