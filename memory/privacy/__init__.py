"""Privacy: private spans, redaction of personal data, and retention."""

from onionskin.memory.privacy.conversation_redactor import (
    ConversationRedactor,
    ConversationRedactors,
)
from onionskin.memory.privacy.policy import (
    UNREDACTED,
    PreparedMessage,
    PrivacyPolicies,
    PrivacyPolicy,
    Redact,
    RedactionOptions,
)
from onionskin.memory.privacy.retention import Retention, RetentionOptions

__all__ = [
    "UNREDACTED",
    "ConversationRedactor",
    "ConversationRedactors",
    "PreparedMessage",
    "PrivacyPolicies",
    "PrivacyPolicy",
    "Redact",
    "RedactionOptions",
    "Retention",
    "RetentionOptions",
]
