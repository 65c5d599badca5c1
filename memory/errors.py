"""Everything that can go wrong, as one small tree that knows no HTTP."""

from datetime import timedelta


class OnionskinError(Exception):
    """The root of Onionskin's errors.

    Attributes:
        code: stable, for programs. The message is for people: what happened and what to do next.
        retry_after: when the same may work, where that is a matter of time alone.
    """

    code = "internal"
    retry_after: timedelta | None = None


class InvalidInputError(OnionskinError):
    """What was handed in cannot be used as it is."""

    code = "invalid_input"


class MessageTooLongError(InvalidInputError):
    """A message is longer than the configured limit."""

    code = "message_too_long"


class UnknownProfileError(InvalidInputError):
    """No memory profile bears this name."""

    code = "unknown_profile"


class ConfigurationError(OnionskinError):
    """The settings or the profiles file cannot be used; nothing was started."""

    code = "configuration"


class UnknownSessionError(OnionskinError):
    """This user has no such session (another user's session is unknown, too)."""

    code = "unknown_session"

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"No session {session_id!r} for this user. "
            "Leave session_id out to go on with the latest session or to start a new one."
        )


class UnknownTurnError(OnionskinError):
    """This user has no such turn (another user's is unknown, too)."""

    code = "unknown_turn"

    def __init__(self, turn_id: str) -> None:
        super().__init__(f"No turn {turn_id!r} for this user. Answers tell their `turn_id`.")


class SessionClosedError(OnionskinError):
    """The session was closed; it can be read, but not gone on with."""

    code = "session_closed"

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"Session {session_id!r} is closed. Leave session_id out to start a new one."
        )


class SessionBusyError(OnionskinError):
    """Another turn is under way on the session.

    Attributes:
        place: of this turn among those that wait; 1 is next.
    """

    code = "session_busy"

    def __init__(self, session_id: str, *, place: int = 1) -> None:
        self.place = place
        super().__init__(
            f"Another turn is under way on session {session_id!r}. Wait for its answer, or send "
            "this one with on_conflict `queue`, `interrupt` or `parallel`."
        )


class SupersededError(OnionskinError):
    """The client asked again meanwhile, and the later try took this one's place."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__(
            "The same request was sent again meanwhile and is answered there; nothing was stored "
            "by this one."
        )


class UnknownRecordError(OnionskinError):
    """This user has no such memory (another user's is unknown, too)."""

    code = "unknown_memory"

    def __init__(self, record_id: str) -> None:
        super().__init__(f"No memory {record_id!r} for this user. List the memories to find it.")


class RecordConflictError(OnionskinError):
    """A memory was changed between reading and writing it."""

    code = "memory_conflict"

    def __init__(self, record_id: str) -> None:
        super().__init__(f"Memory {record_id!r} was changed meanwhile. Read it and try again.")


class TopicTakenError(OnionskinError):
    """Another memory holds the topic.

    Attributes:
        holder: its id.
    """

    code = "topic_taken"

    def __init__(self, holder: str) -> None:
        super().__init__(f"Memory {holder!r} holds this topic. Change that one, or its topic.")
        self.holder = holder


class RecordsFullError(OnionskinError):
    """The user has as many memories as are allowed."""

    code = "memories_full"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"This user has {most} memories, the most that are allowed. Delete some, or raise "
            "ONIONSKIN_MOST_MEMORIES."
        )


class ImportConflictError(OnionskinError):
    """Two imports under one import id ran at once, or the input changed between two tries."""

    code = "import_conflict"


class StoreUnavailableError(OnionskinError):
    """Redis cannot be reached, is loading, or took too long; nothing was half-written."""

    code = "store_unavailable"
    retry_after = timedelta(seconds=1)


class ThreadGoneError(OnionskinError):
    """The checkpoint that a graph goes on from was deleted meanwhile; nothing was stored."""

    code = "thread_gone"

    def __init__(self, thread_id: str) -> None:
        super().__init__(
            f"Thread {thread_id!r} was deleted while its graph ran, or its user was erased. "
            "Begin it anew."
        )


class TaskRunningError(OnionskinError):
    """Another worker is at this job of a user's."""

    code = "under_way"
    retry_after = timedelta(seconds=5)


class StoreRefusedError(OnionskinError):
    """Redis answered, but would not store: out of memory, read-only, or not permitted."""

    code = "store_refused"


class CorruptValueError(OnionskinError):
    """A stored value does not decode to what was stored there."""

    code = "corrupt_value"


class EncryptedValueError(OnionskinError):
    """What is stored of a user is encrypted, and the key is not at hand; nothing was written."""

    code = "sealed"


class EmbeddedRedisError(OnionskinError):
    """The private Redis server cannot be started."""

    code = "embedded_redis"


class EmbedderError(OnionskinError):
    """Texts could not be embedded; lexical recall goes on without vectors."""

    code = "embedder"


class EmbedderUnavailableError(EmbedderError):
    """The embedder failed so often that it is left alone for a while."""

    code = "embedder_unavailable"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(
            "The embedder failed several times in a row; it is asked again in "
            f"{retry_after.total_seconds():.0f} seconds. Until then recall goes by words alone."
        )
        self.retry_after = retry_after
