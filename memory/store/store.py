"""RedisStore: the repositories of everything that is stored, over one connection to Redis."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

from onionskin.memory.privacy.retention import Retention
from onionskin.memory.store.aof_rewrite import AofRewrite
from onionskin.memory.store.api_keys import ApiKeyRegistry
from onionskin.memory.store.branch_restoration import Branches
from onionskin.memory.store.client_ids import ClientIds
from onionskin.memory.store.deletion import Deletion
from onionskin.memory.store.deployment import Deployment
from onionskin.memory.store.encryption.keyring import Keyring
from onionskin.memory.store.encryption.migrations import EncryptionMigrations
from onionskin.memory.store.idempotency import Idempotency
from onionskin.memory.store.langgraph_checkpoints import LangGraphCheckpoints
from onionskin.memory.store.langgraph_items import LangGraphItems
from onionskin.memory.store.locks import Locks
from onionskin.memory.store.records import Records
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.repository import StoreContext
from onionskin.memory.store.sessions import Sessions
from onionskin.memory.store.task_queue import LOCK_TIMEOUT, Backoff, TaskQueue
from onionskin.memory.store.transcripts import Continuity, Transcripts
from onionskin.memory.store.transfer import Transfer
from onionskin.memory.store.users import Users
from onionskin.memory.store.vector_database_cursors import VectorDatabaseCursors

TranscriptsFactory: TypeAlias = Callable[[StoreContext, Sessions, Continuity], Transcripts]


class RedisStore:
    """All data of all users. Callers write `store.<repository>.<verb>(user, ...)`.

    Args:
        connection: The connection to Redis.
        embedder_tag: The embedder in use; vectors of other embedders are ignored.
        continuity: When sessions continue.
        retention: How long sessions and records are readable.
        log_length: Number of entries that a user's change log keeps; an index that is further
            behind is loaded from scratch.
        keyring: Encrypts values; plain by default.
        transcripts: Makes the repository of transcripts; a subclass may add tracing.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        embedder_tag: str,
        continuity: Continuity | None = None,
        retention: Retention | None = None,
        log_length: int = 1000,
        keyring: Keyring | None = None,
        transcripts: TranscriptsFactory = Transcripts,
    ) -> None:
        self.connection, self.embedder_tag = connection, embedder_tag
        self.keyring = Keyring(connection) if keyring is None else keyring
        self.retention = retention or Retention()
        context = StoreContext(
            connection, self.keyring, self.retention, embedder_tag, log_length=log_length
        )
        self.aof_rewrite = AofRewrite(connection)
        self.api_keys = ApiKeyRegistry(connection)
        self.client_ids = ClientIds(context)
        self.branches = Branches(context)
        self.deployment = Deployment(connection)
        self.encryption = EncryptionMigrations(context)
        self.idempotency = Idempotency(context)
        self.langgraph_checkpoints = LangGraphCheckpoints(context, self.aof_rewrite)
        self.langgraph_items = LangGraphItems(context)
        self.locks = Locks(context)
        self.records = Records(context)
        self.sessions = Sessions(context, self.aof_rewrite)
        self.transcripts = transcripts(context, self.sessions, continuity or Continuity())
        self.transfer = Transfer(context)
        self.users = Users(context)
        self.vector_database_cursors = VectorDatabaseCursors(context)
        self.deletion = Deletion(
            context, sessions=self.sessions, records=self.records, aof_rewrite=self.aof_rewrite
        )

    def task_queue(
        self, *, lock_timeout: timedelta = LOCK_TIMEOUT, backoff: Backoff | None = None
    ) -> TaskQueue:
        """One worker's access to the task queue.

        Args:
            lock_timeout: How long a worker holds a task after its last heartbeat.
            backoff: The pauses between attempts of one task.
        """
        return TaskQueue(self.connection, lock_timeout=lock_timeout, backoff=backoff)

    async def ping(self) -> None:
        """Raise StoreUnavailableError unless Redis answers."""
        await self.connection.call(self.connection.commands.ping())
