"""Endpoints of a user's memories: create, list, search, change, archive, delete, restore.

Preferences are memories with a category; the quarantine lists texts that read like instructions.
"""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from onionskin.memory.records.provenance import find_provenance
from onionskin.memory.retrieval import Selection
from onionskin.service.dependencies import OwnerDep, StateDep, StoringDep
from onionskin.service.errors import problem_responses
from onionskin.service.idempotency import IdempotentRoute
from onionskin.service.memories import preferences
from onionskin.service.memories.preferences import (
    NewPreference,
    Preference,
    PreferenceBody,
    Preferences,
)
from onionskin.service.memories.queries import (
    Archived,
    ArchiveRequest,
    BulkDelete,
    MemoriesDeleted,
    MemoryHit,
    MemoryHits,
    MemoryQuery,
    MemorySearch,
    memory_view,
)
from onionskin.service.memories.schemas import (
    CategoryName,
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
    QuarantinedText,
    QuarantineList,
    Released,
    ReleaseRequest,
    RestoreRequest,
)

router = APIRouter(route_class=IdempotentRoute, prefix="/v1/users/{user_id}", tags=["memories"])
MemoryPath = Annotated[MemoryId, Path()]
Category = Annotated[CategoryName, Path()]
IfMatch = Annotated[
    str | None, Header(description="`ETag` of the memory as it was read; `*` for any.")
]


@router.post("/memories", status_code=201, responses=problem_responses(404, 409, 422, 507))
async def keep_memory(user: StoringDep, body: NewMemory, state: StateDep) -> MemoryInfo:
    """Create a memory; it replaces the memory that has the same `topic`, if any."""
    (record,) = await state.records.create(user, [body.fields()])
    return (await memory_view(state, user)).info(record)


@router.post("/memories/batch", status_code=201, responses=problem_responses(404, 409, 422, 507))
async def keep_memories(user: StoringDep, body: NewMemories, state: StateDep) -> MemoryList:
    """Create several memories: all or none."""
    records = await state.records.create(user, [memory.fields() for memory in body.memories])
    view = await memory_view(state, user)
    return MemoryList(memories=[view.info(record) for record in records])


@router.get("/memories", responses=problem_responses(404, 422))
async def list_memories(
    user: OwnerDep, query: Annotated[MemoryQuery, Query()], state: StateDep
) -> MemoryPage:
    """List the user's current memories, newest first; others only if they are included."""
    return query.page(await state.records.index(user), await memory_view(state, user))


@router.get("/memories/stats", responses=problem_responses(404, 422))
async def memory_stats(user: OwnerDep, state: StateDep) -> MemoryStats:
    """Count the user's memories by kind and term."""
    return MemoryStats.of(await state.records.index(user), now=state.records.clock())


@router.post("/memories/search", responses=problem_responses(404, 422))
async def search_memories(user: OwnerDep, body: MemorySearch, state: StateDep) -> MemoryHits:
    """Search memories; best match first, each with the parts of its score.

    Memories that are not current are only found if they are included; they follow the current ones.
    """
    selection, view = Selection(min_similarity=body.min_similarity), await memory_view(state, user)
    hits = await state.records.search(
        user, body.query, top_k=body.top_k, where=body.shown_by(view), selection=selection
    )
    return MemoryHits(hits=[MemoryHit.of(hit, view) for hit in hits])


@router.post("/memories/archive", responses=problem_responses(404, 409, 422))
async def archive_memories(user: OwnerDep, body: ArchiveRequest, state: StateDep) -> Archived:
    """Archive stale memories: they stay stored but are not recalled.

    Pinned ones, preferences and rules stay active.
    """
    return Archived(ids=await state.records.archive(user, body.stale_filter()))


@router.post("/memories/delete", responses=problem_responses(404, 409, 422))
async def delete_memories(user: OwnerDep, body: BulkDelete, state: StateDep) -> MemoriesDeleted:
    """Delete several memories, all or none: the listed ones, or all that match a filter."""
    if body.filter is not None:
        deleted = await state.records.delete_where(user, body.filter.admits)
    else:
        deleted = await state.records.delete(user, body.ids or [])
    return MemoriesDeleted(deleted=deleted)


@router.get("/memories/{memory_id}", responses=problem_responses(404, 422))
async def get_memory(
    user: OwnerDep, memory_id: MemoryPath, state: StateDep, response: Response
) -> MemoryInfo:
    """Read one memory, current or not; the `ETag` names its version."""
    record = await state.records.get(user, memory_id)
    response.headers["ETag"] = f'"{record.version}"'
    return (await memory_view(state, user)).info(record)


@router.patch("/memories/{memory_id}", responses=problem_responses(404, 409, 412, 422))
async def change_memory(
    user: OwnerDep,
    memory_id: MemoryPath,
    body: MemoryPatch,
    state: StateDep,
    *,
    response: Response,
    if_match: IfMatch = None,
) -> MemoryInfo:
    """Change the given fields of a memory. The change can be undone for thirty days.

    Metadata is merged; a null removes its key (RFC 7386). Changes at the same time are all
    made, one after the other. With `If-Match`, a memory that has changed since is refused with 412.
    """
    record = await state.records.update(user, memory_id, body.fields(), version=_version(if_match))
    response.headers["ETag"] = f'"{record.version}"'
    return (await memory_view(state, user)).info(record)


@router.delete("/memories/{memory_id}", responses=problem_responses(404, 409, 422))
async def delete_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoriesDeleted:
    """Delete a memory. It can be restored for thirty days."""
    return MemoriesDeleted(deleted=await state.records.delete(user, [memory_id]))


@router.post("/memories/{memory_id}/promote", responses=problem_responses(404, 409, 422))
async def promote_memory(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryInfo:
    """Turn a short-term memory into a long-term one, which does not expire."""
    record = await state.records.promote(user, memory_id)
    return (await memory_view(state, user)).info(record)


@router.get("/memories/{memory_id}/history", responses=problem_responses(404, 422))
async def memory_history(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryHistory:
    """List a memory's changes of the last thirty days, including a deletion."""
    changes = await state.records.history(user, memory_id)
    return MemoryHistory(steps=[HistoryStep.of(change) for change in changes])


@router.get("/memories/{memory_id}/why", responses=problem_responses(404, 422))
async def memory_reasons(user: OwnerDep, memory_id: MemoryPath, state: StateDep) -> MemoryReasons:
    """Explain a memory: the turns it comes from, and the memories it supersedes."""
    provenance = await find_provenance(state.store, state.records, user, memory_id)
    return MemoryReasons.of(provenance, (await memory_view(state, user)).info)


@router.post("/memories/{memory_id}/restore", responses=problem_responses(404, 409, 422, 507))
async def restore_memory(
    user: StoringDep, memory_id: MemoryPath, state: StateDep, body: RestoreRequest | None = None
) -> MemoryInfo:
    """Undo a deletion or the last change, or return to an earlier revision."""
    revision = body.revision if body else None
    record = await state.records.restore(user, memory_id, revision)
    return (await memory_view(state, user)).info(record)


@router.get("/preferences", responses=problem_responses(404, 422))
async def list_preferences(user: OwnerDep, state: StateDep) -> Preferences:
    """List all preferences that prompts show, sorted by category."""
    view = await memory_view(state, user)
    records = await preferences.all_preferences(state.records, user, view.is_current)
    return Preferences(preferences=[Preference.of(record) for record in records])


@router.post("/preferences", status_code=201, responses=problem_responses(404, 409, 422, 507))
async def add_preference(user: StoringDep, body: NewPreference, state: StateDep) -> Preference:
    """Add a preference to a category; those that the category has stay."""
    return Preference.of(
        await preferences.add_preference(state.records, user, body.category, body.options())
    )


@router.put("/preferences/{category}", responses=problem_responses(404, 409, 422, 507))
async def put_preference(
    user: StoringDep, category: Category, body: PreferenceBody, state: StateDep
) -> Preference:
    """Set the preference of a category; what was set before is replaced.

    Preferences that were added to the category, or extracted, stay.
    """
    record = await preferences.set_preference(state.records, user, category, body.options())
    return Preference.of(record)


@router.get("/preferences/{category}", responses=problem_responses(404, 422))
async def get_preference(user: OwnerDep, category: Category, state: StateDep) -> Preference:
    """Read the preference of a category: the one that was set, else the latest of the others."""
    view = await memory_view(state, user)
    return Preference.of(
        await preferences.find_preference(state.records, user, category, view.is_current)
    )


@router.delete("/preferences/{category}", responses=problem_responses(404, 409, 422))
async def delete_preference(user: OwnerDep, category: Category, state: StateDep) -> Preference:
    """Delete the preference that reading the category shows; the answer is that preference."""
    view = await memory_view(state, user)
    return Preference.of(
        await preferences.forget_preference(state.records, user, category, view.is_current)
    )


@router.get("/quarantine", responses=problem_responses(404, 422))
async def list_held(user: OwnerDep, state: StateDep) -> QuarantineList:
    """List quarantined texts: stored, but shown to no model. Empty if the quarantine is off."""
    index = await state.indexes.refresh(user)
    return QuarantineList(held=[QuarantinedText.of(entry) for entry in index.quarantine.entries])


@router.post("/quarantine/release", responses=problem_responses(404, 409, 422, 507))
async def release_held(user: OwnerDep, body: ReleaseRequest, state: StateDep) -> Released:
    """Release texts from quarantine permanently; ids that are not quarantined are ignored."""
    index = await state.indexes.refresh(user)
    quarantined = {QuarantinedText.of(entry).id for entry in index.quarantine.entries}
    ids = [text_id for text_id in body.ids if text_id in quarantined]
    return Released(released=await state.store.records.release(user, ids) if ids else 0)


def _version(if_match: str | None) -> str | None:
    """The version that `If-Match` requires; None for any."""
    return None if if_match is None or if_match.strip() == "*" else if_match.strip().strip('"')
