"""What endpoints ask for: the collaborators of a running service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.language_models import BaseChatModel

from chains.contexts import Contexts
from chains.conversation import ConversationChain
from chains.observing import Observer
from memory.errors import UnknownProfileError
from memory.intake import Intake
from memory.memories import Memories
from memory.outside.outside import Outside
from memory.privacy.options import Discretions
from memory.profiles import Profile
from memory.recall.views import Views
from memory.store import RedisStore
from service.auth.principals import Authenticator
from service.budgets import Budgets
from service.claims import Claims
from service.jobs import Jobs
from service.limits import Limits
from service.openai.continuity import Conversations
from service.pseudonyms import Pseudonyms
from service.rooms import Rooms
from service.settings import Settings
from service.telemetry import Telemetry

if TYPE_CHECKING:
    from service.tracing.spans import Tracing


@dataclass(frozen=True, slots=True)
class State:
    """The collaborators that endpoints ask for."""

    settings: Settings
    store: RedisStore
    chain: ConversationChain
    contexts: Contexts
    importer: Intake
    jobs: Jobs
    profiles: Mapping[str, Profile]
    claims: Claims
    authenticator: Authenticator
    limits: Limits
    memories: Memories
    budgets: Budgets
    rooms: Rooms
    views: Views
    model: BaseChatModel
    conversations: Conversations
    telemetry: Telemetry
    pseudonyms: Pseudonyms
    observer: Observer
    tracing: "Tracing | None"
    discretions: Discretions
    outside: Outside | None

    def profile_named(self, name: str | None) -> str:
        """The name of a profile that there is, or '' for None.

        Raises:
            UnknownProfileError: there is no such profile.
        """
        if name is not None and name not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise UnknownProfileError(f"No memory profile {name!r}; there are: {known}.")
        return name or ""
