"""Server-sent events of a streamed reply."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from onionskin.chains.conversation import TurnReply
from onionskin.memory.errors import OnionskinError
from onionskin.service.chat.schemas import ChatAnswer
from onionskin.service.errors import problem
from onionskin.service.streaming import iterate_shielded

_PING_SECONDS = 15.0


async def reply_events(
    first: TurnReply, pieces: AsyncGenerator[TurnReply]
) -> AsyncGenerator[bytes]:
    """The events of one answer: `session`, `memory`, `token`..., then `done` or `error`.

    Args:
        first: The first piece, awaited before the response begins.
        pieces: The other pieces. If the client disconnects, the generator is closed, and the turn
            is stored as far as it came.
    """
    whole = first
    start = ChatAnswer.of(first).model_dump(mode="json")
    session = {key: start[key] for key in ("session_id", "profile", "new_session")}
    yield _event("session", session)
    yield _event("memory", {key: start[key] for key in ("memory", "degraded")})
    try:
        async with aclosing(iterate_shielded(pieces, ping_seconds=_PING_SECONDS)) as shielded:
            async for piece in shielded:
                if piece is None:
                    yield KEEPALIVE_COMMENT
                    continue
                whole += piece
                if piece.reply:
                    yield _event("token", {"text": piece.reply})
    except OnionskinError as error:
        yield _event("error", problem(error))
        return
    answer = ChatAnswer.of(whole).model_dump(mode="json", exclude={"memory"})
    yield _event("done", answer)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data, ensure_ascii=False))
