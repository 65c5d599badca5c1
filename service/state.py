"""What endpoints ask for: the collaborators of a running service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.language_models import BaseChatModel

from onionskin.chains.context import Contexts
from onionskin.chains.conversation import ConversationChain
from onionskin.chains.observers import Observer
from onionskin.memory.errors import UnknownProfileError
from onionskin.memory.privacy.policy import Discretions
from onionskin.memory.profiles import Profile
from onionskin.memory.records.service import Memories
from onionskin.memory.retrieval.index.index_cache import Views
from onionskin.memory.store import RedisStore
from onionskin.memory.transfer.upload import Intake
from onionskin.memory.vector_databases.mirror import Outside
from onionskin.service.auth.principals import Authenticator
from onionskin.service.limits.budgets import Budgets
from onionskin.service.limits.rate_limits import Limits
from onionskin.service.limits.storage_quotas import Rooms
from onionskin.service.observability.metrics import Telemetry
from onionskin.service.observability.pseudonyms import Pseudonyms
from onionskin.service.openai.session_matching import Conversations
from onionskin.service.settings import Settings
from onionskin.service.tasks.claim_release import Claims
from onionskin.service.tasks.runner import Jobs

if TYPE_CHECKING:
    from onionskin.service.observability.tracing import Tracing


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
