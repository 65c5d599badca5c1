"""The reply of a turn that was stored, though its answer may have been lost on the way."""

from chains.turn import ChatReply
from memory.errors import UnknownSessionError
from memory.store import RedisStore
from memory.store.once import find_turn
from memory.store.reading import get_session
from memory.types import User


async def stored_reply(store: RedisStore, user: User, nonce: str) -> ChatReply | None:
    """The reply of the turn that was committed under a nonce; None if there is none."""
    found = await find_turn(store, user, nonce)
    if found is None or len(found[1]) < 2:  # noqa: PLR2004 - a turn is a pair
        return None
    committed, (_, replied) = found
    try:
        session = await get_session(store, user, committed.session_id)
    except UnknownSessionError:
        return None
    return ChatReply(
        reply=replied.message.content,
        session_id=session.id,
        turn_id=committed.turn_id,
        profile=replied.message.profile or session.profile,
        is_new_session=committed.position == 0,
        interrupted=replied.message.interrupted,
    )
