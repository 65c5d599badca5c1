"""Restores abandoned branches of sessions."""

from onionskin.memory.errors import InvalidInputError, UnknownSessionError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.types.messages import User

_RESTORE = Script("branches", "restore_branch", durable=True)


class Branches(Repository):
    """The branches of a user's sessions. A commit begins one with `replaces_from`."""

    async def restore(self, user: User, session_id: str, position: int) -> None:
        """Make an abandoned message live again, with its branch.

        Live are then the messages that it followed, itself, and the newest of those that followed
        it. The messages that they compete with are abandoned.

        Raises:
            UnknownSessionError: The user has no such session.
            InvalidInputError: The session has no message at `position`.
        """
        arguments = (session_id, position, self._log_length)
        restored = await self._connection.run(_RESTORE, keys.prefix(user), *arguments)
        if restored < 0:
            raise UnknownSessionError(session_id)
        if not restored:
            raise InvalidInputError(f"Session {session_id!r} has no message {position!r}.")
