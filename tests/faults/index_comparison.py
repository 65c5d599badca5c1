"""Compares indexes that survived faults with indexes that were rebuilt."""

import json
import time
from typing import Any

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import CachedIndex, IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import User
from onionskin.service.chat.schemas import LayerUse
from tests.conftest import make_views
from tests.faults.deployment import PROBE
from tests.faults.http_connection import Line
from tests.faults.results_file import Ledger
from tests.faults.simulated_users import WORDS

_QUERY = f"{PROBE} which lamp is by the river, and where is the candle?"
_CLOSE = 0.02  # recency has gone on between two looks
_ALL = 100_000


class Watcher:
    """Holds views for as long as a part runs, as a worker that never dies does."""

    def __init__(self, store: RedisStore, embedder: StaticEmbedder) -> None:
        self._store, self._embedder = store, embedder
        self._old = make_views(store)

    async def check(self, user: User, ledger: Ledger) -> None:
        """The old view of a user equals a new one: messages, vectors, what is found, its scores."""
        old = await _picture(await _caught_up(self._store, self._old, user), self._embedder)
        made = make_views(self._store)
        new = await _picture(await _caught_up(self._store, made, user), self._embedder)
        different = sorted(one for one in old.keys() | new.keys() if old.get(one) != new.get(one))
        ledger.check("a view equals one rebuilt", not different, f"{user.id} {different[:3]}")

    async def check_worker(self, url: str, user: User, ledger: Ledger) -> None:
        """What a worker recalls equals what is recalled by a view rebuilt from nothing."""
        body = {"user_id": user.id, "message": _QUERY, "profile": "vector"}
        body |= {"stream": True, "store": False}
        async with Line(url) as line:
            answer = await line.ask("POST", "/v1/chat", body | {"on_conflict": "parallel"})
        event = answer.body.decode().partition("event: memory\ndata: ")[2].partition("\n")[0]
        theirs = _scores(json.loads(event)["memory"][0]) if event else {}
        memory = CombinedMemory(
            "vector",
            load_profiles()["vector"],
            store=self._store,
            embedder=self._embedder,
            indexes=make_views(self._store),
        )
        found = await memory.recall(user, _QUERY, session_id=None, now=time.time())
        ours = _scores(LayerUse.of(found.sections[0]).model_dump())
        same = theirs.keys() == ours.keys() and all(
            abs(theirs[one] - score) < _CLOSE for one, score in ours.items()
        )
        ledger.check("a worker's view equals one rebuilt", same, f"{user.id}: {theirs} {ours}")


def _scores(layer: dict[str, Any]) -> dict[str, float]:
    return {one["id"]: one["score"] for one in layer["recalled"]}


async def _caught_up(store: RedisStore, views: IndexCache, user: User) -> CachedIndex:
    return await views.catch_up(
        user, await store.transcripts.changes_since(user, views.cursor(user))
    )


async def _picture(view: CachedIndex, embedder: StaticEmbedder) -> dict[str, object]:
    """A description of an index that is independent of the order in which it was filled."""
    index, query = view.index, " ".join(WORDS)  # every message contains one of them
    (vector,) = await embedder.embed([query])
    found = {hit.entry.id: hit for hit in index.search(query, vector, top_k=_ALL)}
    waiting = {entry.id for entry in index.unembedded}
    description: dict[str, object] = {"read": view.cursor, "size": len(index), "waiting": waiting}
    for one, hit in found.items():
        description[one] = (hit.entry.message, round(hit.score, 3))
    return description
