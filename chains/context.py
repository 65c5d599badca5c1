"""The prompt of a turn without a model call: memory for agents that call their own model."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from onionskin.chains.prompt import build_prompt, memory_text
from onionskin.chains.turn import TurnReply, TurnRequest, initial_reply, prepare_turn
from onionskin.memory.combined import CombinedMemory


@dataclass(frozen=True, slots=True)
class Context:
    """What was recalled for a message.

    Attributes:
        reply: Session, profile and sections, as the first piece of a turn's reply has them.
        prompt: The chat messages that a model would get, the user's message last.
        text: The memory alone, fenced, for the prompt of another model.
    """

    reply: TurnReply
    prompt: Sequence[BaseMessage]
    text: str


class ContextBuilder:
    """Recalls for a message as a turn does, but stores nothing and locks no session.

    Args:
        memories: The profiles, by name.
        default_profile: Profile of a turn that names none.
        longest_message: Limit in characters.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        memories: Mapping[str, CombinedMemory],
        *,
        default_profile: str,
        longest_message: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memories, self._default = memories, default_profile
        self._longest_message, self._clock = longest_message, clock

    async def recall(self, request: TurnRequest) -> Context:
        """What the profile's layers recall for a message.

        Raises:
            OnionskinError: The errors of a turn, except those of the model.
        """
        turn = prepare_turn(
            request,
            self._memories,
            default_profile=self._default,
            longest_message=self._longest_message,
        )
        recalled = await self._memories[turn.profile].recall(
            request.user,
            turn.request.message,
            session_id=request.session_id,
            now=self._clock(),
            new_session=request.new_session,
            zones=request.zones,
            replaces_from=request.replaces_from,
        )
        prompt = build_prompt(recalled, text=turn.message.for_model)
        return Context(initial_reply(recalled), prompt, memory_text(recalled))
