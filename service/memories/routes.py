"""A user's memories: keep, find, change, archive, delete, undo.

Texts that read like instructions: what is held back, and releasing it.
"""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Path, Query

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.records.provenance import find_provenance
from onionskin.memory.retrieval.ranking.selection import Selection
from onionskin.memory.store.records import release
from onionskin.memory.types.records import Record
from onionskin.service.dependencies import OwnerDep, StateDep, StoringDep
from onionskin.service.errors import problem_responses
from onionskin.service.idempotency import IdempotentRoute
from onionskin.service.memories.queries import (
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
from onionskin.service.memories.schemas import (
    Held,
    HeldText,
    HistoryStep,
    MemoryHistory,
    MemoryId,
    MemoryInfo,
    MemoryList,
    MemoryPage,
    MemoryPatch,
    MemoryReasons,
    MemoryStats,
    NewMemories,
    NewMemory,
    Released,
    ReleaseRequest,
    RestoreRequest,
)

memories_router = APIRouter(
    route_class=IdempotentRoute, prefix="/v1/users/{user_id}/memories", tags=["memories"]
)
MemoryPath = Annotated[MemoryId, Path()]


@memories_router.post("", status_code=201, responses=problem_responses(404, 409, 422, 507))
async def keep_memory(user: StoringDep, body: NewMemory, state: StateDep) -> MemoryInfo:
    """Keep a memory; with a `topic` that is taken already, it replaces that memory."""
    return MemoryInfo.of((await state.records.create(user, [body.fields()]))[0])


@memories_router.post("/batch", status_code=201, responses=problem_responses(404, 409, 422, 507))
async def keep_memories(user: StoringDep, body: NewMemories, state: StateDep) -> MemoryList:
    """Keep several memories, all or none."""
    kept = await state.records.create(user, [one.fields() for one in body.memories])
    return MemoryList(memories=[MemoryInfo.of(one) for one in kept])


@memories_router.get("", responses=problem_responses(404, 422))
async def list_memories(
    user: OwnerDep, query: Annotated[MemoryQuery, Query()], state: StateDep
) -> MemoryPage:
    """The user's memories, the newest first."""
    wanted, now = query.filter(), state.records.clock()
    found = [one for one in await state.records.index(user) if one.is_alive(now)]
    found = sorted(filter(wanted.admits, found), key=_newest_first)
    if query.cursor:
        after = _cursor(query.cursor)
        found = [one for one in found if _newest_first(one) > after]
    page = found[: query.limit]
    return MemoryPage(
        memories=[MemoryInfo.of(one) for one in page],
        next_cursor=f"{page[-1].created!r}:{page[-1].id}" if len(found) > query.limit else None,
    )


@memories_router.get("/stats", responses=problem_responses(404, 422))
async def memory_stats(user: OwnerDep, state: StateDep) -> MemoryStats:
    """How many memories there are, and of what sort."""
    index, now = await state.records.index(user), state.records.clock()
    alive = [one for one in index if one.is_alive(now)]
    return MemoryStats(
        total=len(alive),
        archived=sum(one.archived for one in alive),
        pinned=sum(one.pinned for one in alive),
        by_kind=dict(Counter(one.kind for one in alive)),
        by_term=dict(Counter(one.term for one in alive)),
        unembedded=len(index.unembedded),
    )


@memories_router.post("/search", responses=problem_responses(404, 422))
async def search_memories(user: OwnerDep, body: MemorySearch, state: StateDep) -> MemoryHits:
    """The memories that answer a query best, each with the parts of its score."""
    selection = Selection(min_similarity=body.min_similarity)
    found = await state.records.search(
        user, body.query, top_k=body.top_k, where=body.admits, selection=selection
    )
    return MemoryHits(hits=[MemoryHit.of(one) for one in found])


@memories_router.post("/archive", responses=problem_responses(404, 409, 422))
async def archive_memories(user: OwnerDep, body: ArchiveRequest, state: StateDep) -> Archived:
    """Archive what is stale: it is kept, but no longer recalled. Pinned memories stay."""
    return Archived(ids=await state.records.archive(user, body.staleness()))


@memories_router.post("/delete", responses=problem_responses(404, 409, 422))
async def delete_memories(user: OwnerDep, body: BulkDelete, state: StateDep) -> MemoriesDeleted:
    """Delete several memories, all or none: those named, or those that meet a filter."""
    if body.ids is not None:
        return MemoriesDeleted(deleted=await state.records.delete(user, body.ids))
    wanted = body.filter or MemoryFilter()
    return MemoriesDeleted(deleted=await state.records.delete_where(user, wanted.admits))


@memories_router.get("/{memory_id}", responses=problem_responses(404, 422))
async def get_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryInfo:
    """One memory."""
    return MemoryInfo.of(await state.records.get(user, memory_id))


@memories_router.patch("/{memory_id}", responses=problem_responses(404, 409, 422))
async def change_memory(
    user: OwnerDep, memory_id: MemoryPath, body: MemoryPatch, state: StateDep
) -> MemoryInfo:
    """Change what is named; the rest stays. It can be undone for thirty days."""
    return MemoryInfo.of(await state.records.update(user, memory_id, body.fields()))


@memories_router.delete("/{memory_id}", responses=problem_responses(404, 409, 422))
async def delete_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoriesDeleted:
    """Delete a memory. It can be restored for thirty days."""
    return MemoriesDeleted(deleted=await state.records.delete(user, [memory_id]))


@memories_router.post("/{memory_id}/promote", responses=problem_responses(404, 409, 422))
async def promote_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryInfo:
    """Make a short-term memory a long-term one, which does not expire."""
    return MemoryInfo.of(await state.records.promote(user, memory_id))


@memories_router.get("/{memory_id}/history", responses=problem_responses(404, 422))
async def memory_history(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryHistory:
    """Every change of the last thirty days, a deletion too."""
    steps = await state.records.history(user, memory_id)
    return MemoryHistory(steps=[HistoryStep.of(one) for one in steps])


@memories_router.get("/{memory_id}/why", responses=problem_responses(404, 422))
async def memory_reasons(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryReasons:
    """Why a memory is believed: the turns that said it, and what it made untrue."""
    return MemoryReasons.of(await find_provenance(state.store, state.records, user, memory_id))


@memories_router.post("/{memory_id}/restore", responses=problem_responses(404, 409, 422, 507))
async def restore_memory(
    user: StoringDep, memory_id: MemoryPath, state: StateDep, body: RestoreRequest | None = None
) -> MemoryInfo:
    """Undo a deletion or the last change, or go back to a revision."""
    revision = body.revision if body else None
    return MemoryInfo.of(await state.records.restore(user, memory_id, revision))


def _newest_first(record: Record) -> tuple[float, str]:
    return (-record.created, record.id)


def _cursor(cursor: str) -> tuple[float, str]:
    created, _, record_id = cursor.partition(":")
    try:
        return (-float(created), record_id)
    except ValueError as error:
        raise InvalidInputError(f"{cursor!r} is no cursor of this list.") from error


quarantine_router = APIRouter(
    route_class=IdempotentRoute, prefix="/v1/users/{user_id}/quarantine", tags=["memories"]
)


@quarantine_router.get("", responses=problem_responses(404, 422))
async def list_held(user: OwnerDep, state: StateDep) -> Held:
    """What is held back: kept and listed, but shown to no model; nothing where that is off."""
    view = await state.indexes.refresh(user)
    return Held(held=[HeldText.of(one) for one in view.quarantine.entries])


@quarantine_router.post("/release", responses=problem_responses(404, 409, 422, 507))
async def release_held(user: OwnerDep, body: ReleaseRequest, state: StateDep) -> Released:
    """Show these again, and for good; what was not held is passed over."""
    view = await state.indexes.refresh(user)
    held = {HeldText.of(one).id for one in view.quarantine.entries}
    ids = [one for one in body.ids if one in held]
    return Released(released=await release(state.store, user, ids) if ids else 0)
