"""The errors of Onionskin's memory: one tree, independent of HTTP."""

from datetime import timedelta


class OnionskinError(Exception):
    """Base class of Onionskin's errors.

    Attributes:
        code: Stable identifier for programs. The message is for people: what happened, what to do.
        retry_after: When a retry may succeed; None if waiting does not help.
    """

    code = "internal"
    retry_after: timedelta | None = None


class InvalidInputError(OnionskinError):
    """An argument or a request is invalid."""

    code = "invalid_input"


class MessageTooLongError(InvalidInputError):
    """A message is longer than the configured limit."""

    code = "message_too_long"


class UnknownProfileError(InvalidInputError):
    """No memory profile has this name."""

    code = "unknown_profile"


class ConfigurationError(OnionskinError):
    """The settings or the profiles file are invalid; nothing was started."""

    code = "configuration"


class NotFoundError(OnionskinError):
    """The user has no such object. Objects of other users are not found either.

    Attributes:
        kind: `session`, `turn` or `memory`.
        id: The id that was not found.
    """

    kind: str
    hint: str

    def __init__(self, object_id: str) -> None:
        super().__init__(f"No {self.kind} {object_id!r} for this user. {self.hint}")
        self.id = object_id


class UnknownSessionError(NotFoundError):
    """The user has no such session."""

    code = "unknown_session"
    kind = "session"
    hint = "Omit session_id to continue the latest session or to start a new one."


class UnknownTurnError(NotFoundError):
    """The user has no such turn."""

    code = "unknown_turn"
    kind = "turn"
    hint = "Every answer contains its `turn_id`."


class UnknownRecordError(NotFoundError):
    """The user has no such memory."""

    code = "unknown_memory"
    kind = "memory"
    hint = "List the memories to find it."


class SessionClosedError(OnionskinError):
    """The session is closed: it can be read, but not continued."""

    code = "session_closed"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session {session_id!r} is closed. Omit session_id to start a new one.")


class SessionBusyError(OnionskinError):
    """Another turn is running on the session.

    Attributes:
        place: Position in the session's queue; 1 is next.
    """

    code = "session_busy"

    def __init__(self, session_id: str, *, place: int = 1) -> None:
        self.place = place
        super().__init__(
            f"Another turn is running on session {session_id!r}. Wait for its answer, or send "
            "this one with on_conflict `queue`, `interrupt` or `parallel`."
        )


class SupersededError(OnionskinError):
    """The client sent the request again, and the later attempt replaced this one."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__(
            "The same request was sent again and is answered there. This attempt stored nothing."
        )


class RecordConflictError(OnionskinError):
    """A memory changed between being read and being written."""

    code = "memory_conflict"

    def __init__(self, record_id: str) -> None:
        super().__init__(
            f"Memory {record_id!r} has changed since it was read. Read it and try again."
        )


class RecordChangedError(OnionskinError):
    """A memory is not in the state that the request requires."""

    code = "precondition_failed"

    def __init__(self, record_id: str) -> None:
        super().__init__(
            f"Memory {record_id!r} has changed since it was read: its ETag is another one. Read it "
            "and try again."
        )


class TopicTakenError(OnionskinError):
    """Another memory has the same topic.

    Attributes:
        holder: Id of that memory.
    """

    code = "topic_taken"

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"Memory {holder!r} already has this topic. Update it, or choose another topic."
        )
        self.holder = holder


class RecordsFullError(OnionskinError):
    """The user has the most memories allowed."""

    code = "memories_full"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"This user has {limit} memories, the most allowed. Delete some, or raise "
            "ONIONSKIN_MOST_MEMORIES."
        )


class ImportConflictError(OnionskinError):
    """Two imports with one import id ran at once, or the input changed between two attempts."""

    code = "import_conflict"


class StoreUnavailableError(OnionskinError):
    """Redis is unreachable, is loading, or timed out; no partial write was made."""

    code = "store_unavailable"
    retry_after = timedelta(seconds=1)


class StoreBusyError(StoreUnavailableError):
    """Redis answers, but more commands wait than it can serve in time; nothing was written."""

    code = "store_busy"

    def __init__(self) -> None:
        super().__init__(
            "Redis is busy: too many requests of this process wait for it. Nothing was stored. "
            "Try again shortly; if this goes on, add workers or a faster Redis."
        )


class ThreadGoneError(OnionskinError):
    """The checkpoint that a graph continues from was deleted; nothing was stored."""

    code = "thread_gone"

    def __init__(self, thread_id: str) -> None:
        super().__init__(
            f"Thread {thread_id!r} was deleted while its graph ran, or its user was erased. "
            "Start it again."
        )


class TaskRunningError(OnionskinError):
    """Another worker runs this task of the user."""

    code = "under_way"
    retry_after = timedelta(seconds=5)


class StoreRefusedError(OnionskinError):
    """Redis rejected a write: out of memory, read-only, or no permission."""

    code = "store_refused"


class CorruptValueError(OnionskinError):
    """A stored value cannot be decoded."""

    code = "corrupt_value"


class EncryptedValueError(OnionskinError):
    """The user's data are encrypted and the key is unavailable; nothing was written."""

    code = "sealed"


class EmbeddedRedisError(OnionskinError):
    """The embedded Redis server cannot be started."""

    code = "embedded_redis"


class EmbedderError(OnionskinError):
    """Texts could not be embedded; recall continues with words only."""

    code = "embedder"


class EmbedderUnavailableError(EmbedderError):
    """The embedder's circuit breaker is open after repeated failures."""

    code = "embedder_unavailable"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(
            "The embedder failed several times in a row. The next attempt is in "
            f"{retry_after.total_seconds():.0f} seconds. Until then recall uses words only."
        )
        self.retry_after = retry_after
