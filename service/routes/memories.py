"""A user's memories: keep, find, change, archive, delete, undo."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Path, Query

from memory.errors import InvalidInputError
from memory.reasons import reasons
from memory.recall.selection import Selection
from memory.records import Record
from service.dependencies import OwnerDep, StateDep, StoringDep
from service.errors import problem_responses
from service.idempotency import IdempotentRoute
from service.memory_queries import (
    Archived,
    ArchiveRequest,
    BulkDelete,
    MemoriesDeleted,
    MemoryFilter,
    MemoryHit,
    MemoryHits,
    MemoryQuery,
    MemorySearch,
)
from service.memory_schemas import (
    HistoryStep,
    MemoryHistory,
    MemoryId,
    MemoryInfo,
    MemoryList,
    MemoryPage,
    MemoryPatch,
    MemoryStats,
    NewMemories,
    NewMemory,
    RestoreRequest,
)
from service.reason_schemas import MemoryReasons

router = APIRouter(
    route_class=IdempotentRoute, prefix="/v1/users/{user_id}/memories", tags=["memories"]
)
MemoryPath = Annotated[MemoryId, Path()]


@router.post("", status_code=201, responses=problem_responses(404, 409, 422, 507))
async def keep_memory(user: StoringDep, body: NewMemory, state: StateDep) -> MemoryInfo:
    """Keep a memory; with a `topic` that is taken already, it replaces that memory."""
    return MemoryInfo.of((await state.memories.create(user, [body.fields()]))[0])


@router.post("/batch", status_code=201, responses=problem_responses(404, 409, 422, 507))
async def keep_memories(user: StoringDep, body: NewMemories, state: StateDep) -> MemoryList:
    """Keep several memories, all or none."""
    kept = await state.memories.create(user, [one.fields() for one in body.memories])
    return MemoryList(memories=[MemoryInfo.of(one) for one in kept])


@router.get("", responses=problem_responses(404, 422))
async def list_memories(
    user: OwnerDep, query: Annotated[MemoryQuery, Query()], state: StateDep
) -> MemoryPage:
    """The user's memories, the newest first."""
    wanted, now = query.filter(), state.memories.clock()
    found = [one for one in await state.memories.index(user) if one.is_alive(now)]
    found = sorted(filter(wanted.admits, found), key=_newest_first)
    if query.cursor:
        after = _cursor(query.cursor)
        found = [one for one in found if _newest_first(one) > after]
    page = found[: query.limit]
    return MemoryPage(
        memories=[MemoryInfo.of(one) for one in page],
        next_cursor=f"{page[-1].created!r}:{page[-1].id}" if len(found) > query.limit else None,
    )


@router.get("/stats", responses=problem_responses(404, 422))
async def memory_stats(user: OwnerDep, state: StateDep) -> MemoryStats:
    """How many memories there are, and of what sort."""
    index, now = await state.memories.index(user), state.memories.clock()
    alive = [one for one in index if one.is_alive(now)]
    return MemoryStats(
        total=len(alive),
        archived=sum(one.archived for one in alive),
        pinned=sum(one.pinned for one in alive),
        by_kind=dict(Counter(one.kind for one in alive)),
        by_term=dict(Counter(one.term for one in alive)),
        unembedded=len(index.unembedded),
    )


@router.post("/search", responses=problem_responses(404, 422))
async def search_memories(user: OwnerDep, body: MemorySearch, state: StateDep) -> MemoryHits:
    """The memories that answer a query best, each with the parts of its score."""
    selection = Selection(min_similarity=body.min_similarity)
    found = await state.memories.search(
        user, body.query, top_k=body.top_k, where=body.admits, selection=selection
    )
    return MemoryHits(hits=[MemoryHit.of(one) for one in found])


@router.post("/archive", responses=problem_responses(404, 409, 422))
async def archive_memories(user: OwnerDep, body: ArchiveRequest, state: StateDep) -> Archived:
    """Archive what is stale: it is kept, but no longer recalled. Pinned memories stay."""
    return Archived(ids=await state.memories.archive(user, body.staleness()))


@router.post("/delete", responses=problem_responses(404, 409, 422))
async def delete_memories(user: OwnerDep, body: BulkDelete, state: StateDep) -> MemoriesDeleted:
    """Delete several memories, all or none: those named, or those that meet a filter."""
    if body.ids is not None:
        return MemoriesDeleted(deleted=await state.memories.forget(user, body.ids))
    wanted = body.filter or MemoryFilter()
    return MemoriesDeleted(deleted=await state.memories.forget_where(user, wanted.admits))


@router.get("/{memory_id}", responses=problem_responses(404, 422))
async def get_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryInfo:
    """One memory."""
    return MemoryInfo.of(await state.memories.get(user, memory_id))


@router.patch("/{memory_id}", responses=problem_responses(404, 409, 422))
async def change_memory(
    user: OwnerDep, memory_id: MemoryPath, body: MemoryPatch, state: StateDep
) -> MemoryInfo:
    """Change what is named; the rest stays. It can be undone for thirty days."""
    return MemoryInfo.of(await state.memories.change(user, memory_id, body.fields()))


@router.delete("/{memory_id}", responses=problem_responses(404, 409, 422))
async def delete_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoriesDeleted:
    """Delete a memory. It can be restored for thirty days."""
    return MemoriesDeleted(deleted=await state.memories.forget(user, [memory_id]))


@router.post("/{memory_id}/promote", responses=problem_responses(404, 409, 422))
async def promote_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryInfo:
    """Make a short-term memory a long-term one, which does not expire."""
    return MemoryInfo.of(await state.memories.promote(user, memory_id))


@router.get("/{memory_id}/history", responses=problem_responses(404, 422))
async def memory_history(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryHistory:
    """Every change of the last thirty days, a deletion too."""
    steps = await state.memories.history(user, memory_id)
    return MemoryHistory(steps=[HistoryStep.of(one) for one in steps])


@router.get("/{memory_id}/why", responses=problem_responses(404, 422))
async def memory_reasons(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryReasons:
    """Why a memory is believed: the turns that said it, and what it made untrue."""
    return MemoryReasons.of(await reasons(state.store, state.memories, user, memory_id))


@router.post("/{memory_id}/restore", responses=problem_responses(404, 409, 422, 507))
async def restore_memory(
    user: StoringDep, memory_id: MemoryPath, state: StateDep, body: RestoreRequest | None = None
) -> MemoryInfo:
    """Undo a deletion or the last change, or go back to a revision."""
    revision = body.revision if body else None
    return MemoryInfo.of(await state.memories.restore(user, memory_id, revision))


def _newest_first(record: Record) -> tuple[float, str]:
    return (-record.created, record.id)


def _cursor(cursor: str) -> tuple[float, str]:
    created, _, record_id = cursor.partition(":")
    try:
        return (-float(created), record_id)
    except ValueError as error:
        raise InvalidInputError(f"{cursor!r} is no cursor of this list.") from error
