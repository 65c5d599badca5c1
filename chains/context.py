"""What a model would be shown for a message, without asking one: memory for agents of others."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from onionskin.chains.prompt import build_prompt, memory_text
from onionskin.chains.turn import TurnReply, TurnRequest, check_message, initial_reply
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import UnknownProfileError


@dataclass(frozen=True, slots=True)
class Context:
    """What was recalled for a message.

    Attributes:
        found: session, profile and sections, as a reply begins with them.
        prompt: the chat messages that a model would get, the message among them.
        text: the memory alone, fenced, to be put before a model of one's own.
    """

    found: TurnReply
    prompt: Sequence[BaseMessage]
    text: str


class ContextBuilder:
    """Recalls for a message as a turn does; nothing is stored, and no session is held or begun.

    Args:
        memories: the profiles, by name.
        default_profile: the profile of a turn that names none.
        longest_message: in characters.
        clock: seconds since the epoch.
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

    async def recall(self, turn: TurnRequest) -> Context:
        """All that the profile's layers have to say to a message.

        Raises:
            OnionskinError: as a turn, but for what concerns the model.
        """
        check_message(turn.message, self._longest_message)
        memory = memory_of(self._memories, turn.profile or self._default)
        said = memory.privacy.prepare_message(turn.message)
        recollection = await memory.recall(
            turn.user,
            said.for_storage,
            session_id=turn.session_id,
            now=self._clock(),
            new_session=turn.new_session,
        )
        prompt = build_prompt(recollection, seen=said.for_model)
        return Context(initial_reply(recollection), prompt, memory_text(recollection))


def memory_of(memories: Mapping[str, CombinedMemory], profile: str) -> CombinedMemory:
    """The memory of a profile.

    Raises:
        UnknownProfileError: there is no such profile; the message lists those that there are.
    """
    memory = memories.get(profile)
    if memory is None:
        known = ", ".join(sorted(memories))
        raise UnknownProfileError(f"No memory profile {profile!r}; there are: {known}.")
    return memory
