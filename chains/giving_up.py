"""A turn that ends without an answer lets the next one have its session."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from chains.observing import Observer, outcome_of
from memory.combined import CombinedMemory
from memory.recollection import Recollection
from memory.turns import InterruptedTurnError


@asynccontextmanager
async def given_up_on_failure(
    memory: CombinedMemory, recollection: Recollection, observer: Observer
) -> AsyncGenerator[None]:
    """The session is free for the next turn, however this one ends."""
    try:
        yield
    except BaseException as error:
        outcome = outcome_of(error)
        if outcome != InterruptedTurnError.code:
            observer.turn(memory.name, outcome, ())
        await memory.give_up(recollection)
        raise
