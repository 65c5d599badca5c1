"""The circuit breakers of this process: one for the chat model, one for a remote embedder."""

from memory.circuit import Circuit
from memory.recall.embedding import Embedder
from memory.recall.guarded import GuardedEmbedder
from memory.store import Connection
from service.settings import Settings
from service.telemetry import Telemetry


def model_circuit(settings: Settings, telemetry: Telemetry) -> Circuit:
    """The chat model's: calls that end at the time limit, one after the other, are in a row."""
    circuit = Circuit(
        failures=settings.breaker_failures,
        window=settings.model_timeout * (settings.breaker_failures + 1),
        slow=settings.model_timeout,
    )
    about = "The chat model's circuit breaker: 0 closed, 1 open, 0.5 probing."
    telemetry.watch("strata_model_circuit", about, lambda: circuit.level)
    return circuit


def guarded(
    embedder: Embedder, settings: Settings, connection: Connection, telemetry: Telemetry
) -> Embedder:
    """A remote embedder behind its own; a local one as it is."""
    circuit = Circuit(
        failures=settings.breaker_failures,
        window=settings.embedder_timeout * 30,
        slow=settings.embedder_timeout * 0.9,
    )
    about = "The embedder's circuit breaker: 0 closed, 1 open, 0.5 probing."
    telemetry.watch("strata_embedder_circuit", about, lambda: circuit.level)
    if embedder.local:
        return embedder
    return GuardedEmbedder(embedder, circuit, connection, telemetry.embedding)
