"""The lifespan state: the collaborators of a running service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onionskin.chains.context import ContextBuilder
from onionskin.chains.conversation import ConversationChain
from onionskin.chains.generation import Generator
from onionskin.chains.user_summary import UserSummarizer
from onionskin.memory.errors import UnknownProfileError
from onionskin.memory.message_append import MessageAppender
from onionskin.memory.privacy.policy import PrivacyPolicies
from onionskin.memory.profiles import Profile
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import ConversationSearch, IndexCache
from onionskin.memory.store import RedisStore
from onionskin.memory.transfer.upload import UploadHandler
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from onionskin.service.auth.principals import Authenticator
from onionskin.service.limits.budgets import Budgets
from onionskin.service.limits.rate_limits import RateLimits
from onionskin.service.limits.storage_quotas import StorageQuota
from onionskin.service.observability.metrics import Metrics
from onionskin.service.observability.pseudonyms import Pseudonyms
from onionskin.service.openai.session_matching import SessionMatcher
from onionskin.service.settings import Settings
from onionskin.service.tasks.claim_release import ClaimReleaser
from onionskin.service.tasks.runner import TaskRunner

if TYPE_CHECKING:
    from onionskin.service.observability.tracing import Tracing


@dataclass(frozen=True, slots=True)
class State:
    """The collaborators of endpoints and middleware."""

    settings: Settings
    store: RedisStore
    chain: ConversationChain
    context_builder: ContextBuilder
    importer: UploadHandler
    tasks: TaskRunner
    profiles: Mapping[str, Profile]
    claims: ClaimReleaser
    authenticator: Authenticator
    rate_limits: RateLimits
    records: RecordService
    budgets: Budgets
    storage_quota: StorageQuota
    indexes: IndexCache
    appender: MessageAppender
    user_summarizer: UserSummarizer
    conversation_search: ConversationSearch
    generator: Generator
    session_matcher: SessionMatcher
    metrics: Metrics
    pseudonyms: Pseudonyms
    tracing: "Tracing | None"
    privacy_policies: PrivacyPolicies
    vector_database: VectorDatabaseMirror | None

    def profile_named(self, name: str | None) -> str:
        """The profile's name, or '' for None.

        Raises:
            UnknownProfileError: No profile has this name.
        """
        if name is not None and name not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise UnknownProfileError(f"No memory profile {name!r}; there are: {known}.")
        return name or ""
