"""After-turn hooks: functions and classes of the operator that get each stored turn.

They run as a background task: after the answer, in whatever process runs tasks, and after a crash
once more. A hook that fails is logged; it fails neither the turn nor the hooks after it.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from onionskin.memory.dotted_path import load_object
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.layers.custom import construct, place_of
from onionskin.memory.layers.langchain_classic_factories import Sources
from onionskin.memory.profiles import Profile
from onionskin.memory.types.messages import Entry, User

_log = logging.getLogger("onionskin.hooks")


@dataclass(frozen=True, slots=True)
class AfterTurn:
    """A stored turn, as hooks get it.

    Attributes:
        user: The user.
        session_id: The turn's session.
        turn_id: Id of the turn; the same if the hook is called again after a crash.
        profile: The memory profile of the turn.
        messages: What the user said and what was answered, as it is stored, oldest first.
    """

    user: User
    session_id: str
    turn_id: str
    profile: str
    messages: tuple[Entry, ...]


HookFunction: TypeAlias = Callable[[AfterTurn], Awaitable[object] | object]


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook and its path."""

    path: str
    function: HookFunction

    async def run(self, turn: AfterTurn) -> None:
        """Call the hook; a plain function runs in a thread. Its errors are logged."""
        try:
            if _is_coroutine_function(self.function):
                await cast("Awaitable[object]", self.function(turn))
                return
            result = await asyncio.to_thread(self.function, turn)
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001 - the operator's code raises anything
            fields = {"hook": self.path, "error": type(error).__name__, "at": place_of(error)}
            _log.error("hook failed", extra=fields)  # its text may hold user data


def load_hooks(name: str, profile: Profile, sources: Sources) -> tuple[Hook, ...]:
    """The hooks of a profile.

    Raises:
        ConfigurationError: A hook is missing, cannot be made, or does not take a turn.
    """
    hooks: list[Hook] = []
    for path in profile.after_turn:
        purpose = f"The hook {path!r} of profile {name!r}"
        found = load_object(path, profile.folders, purpose)
        options = profile.options.get(path, {})
        if inspect.isclass(found):
            found = construct(found, path, purpose, options, sources)
        elif options:
            raise ConfigurationError(f"{purpose} is no class, so it takes no options.")
        _check(found, purpose)
        hooks.append(Hook(path, cast("HookFunction", found)))
    return tuple(hooks)


async def run_hooks(hooks: Sequence[Hook], turn: AfterTurn) -> None:
    """Call each hook with a stored turn, one after the other."""
    for hook in hooks:
        await hook.run(turn)


def _check(found: object, purpose: str) -> None:
    if not callable(found):
        raise ConfigurationError(
            f"{purpose} is a {type(found).__name__!r}, which cannot be called. A hook is a "
            "function, or a class with `async def __call__(self, turn)`."
        )
    try:
        inspect.signature(found).bind(None)
    except TypeError as error:
        raise ConfigurationError(f"{purpose} must take the turn alone: {error}.") from error
    except ValueError:  # written in C: it is called to find out
        return


def _is_coroutine_function(function: HookFunction) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - an instance with `async __call__`
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
