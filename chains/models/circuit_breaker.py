"""A model that fails again and again is not asked for a while: calls of it fail at once."""

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

from onionskin.chains.errors import ModelUnavailableError
from onionskin.chains.generation import translate_provider_error
from onionskin.chains.observers import ModelCall, StageEvent
from onionskin.memory.circuit_breaker import CircuitBreaker
from onionskin.memory.types.snapshot import Section


class Breaking:
    """An observer that refuses calls while a circuit is open, and tells it how calls end.

    Args:
        circuit: of the chat model.
    """

    def __init__(self, circuit: CircuitBreaker) -> None:
        self._circuit = circuit

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """Nothing."""
        del stage
        return nullcontext()

    @contextmanager
    def model_call(self, call: ModelCall) -> Generator[None]:
        """Refuse the call, or see how it ends.

        Raises:
            ModelUnavailableError: the circuit is open.
        """
        del call
        wait = self._circuit.admit()
        if wait is not None:
            raise ModelUnavailableError(wait)
        began = time.monotonic()
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self._circuit.record_cancellation(timedelta(seconds=time.monotonic() - began))
            raise
        except Exception as error:
            found = translate_provider_error(error)
            if found.outage:
                self._circuit.record_failure(found.retry_after)
            else:
                self._circuit.record_success()
            raise
        self._circuit.record_success()

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """Nothing."""
