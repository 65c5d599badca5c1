"""What chat front-ends send beside conversations: jobs of their own, and whose request it is."""

from collections.abc import Mapping

import jwt
from jwt.exceptions import PyJWTError
from pydantic import SecretStr

from memory.errors import InvalidInputError
from service.auth.principals import Principal, UnauthorizedError
from service.openai.schemas import CompletionRequest

_REMEMBER = "x-strata-remember"
_TASKS = ("### Task:", "<chat_history>")
_TITLES = (
    "5-word-or-less title for the conversation",
    "concise title for this conversation",
    "generate a title for the conversation",
)
_USER_TOKEN, _USER_ID = "x-openwebui-user-jwt", "x-openwebui-user-id"


def is_job(request: CompletionRequest, headers: Mapping[str, str]) -> bool:
    """Whether it asks for a title, tags or the like: answered, and not remembered.

    Known are Open WebUI's templates and `metadata.task`, LibreChat's prompts for titles, and the
    header `X-Strata-Remember: false` for all others.
    """
    if headers.get(_REMEMBER, "").lower() in ("false", "0", "no"):
        return True
    if (request.metadata or {}).get("task"):
        return True
    text = request.messages[-1].text
    folded = text.casefold()
    template = text.lstrip().startswith(_TASKS[0]) and _TASKS[1] in text
    return template or any(title in folded for title in _TITLES)


def user_of(
    request: CompletionRequest,
    headers: Mapping[str, str],
    principal: Principal,
    secret: SecretStr | None,
) -> str:
    """Whose memory a request is about.

    Raises:
        InvalidInputError: it names nobody.
        UnauthorizedError: Open WebUI's signature does not hold.
    """
    named = request.user or request.safety_identifier
    if secret and (token := headers.get(_USER_TOKEN)):
        named = _signed_user(token, secret)
    found = named or principal.user_id
    if not found:
        raise InvalidInputError(
            "Nobody is named: send `user` (or `safety_identifier`) with the id of your user."
        )
    if len(found) > 256 or "/" in found or not found.isprintable() or found in (".", ".."):  # noqa: PLR2004
        raise InvalidInputError("`user` must be up to 256 visible characters without '/'.")
    return found


def _signed_user(token: str, secret: SecretStr) -> str:
    try:
        claims = jwt.decode(
            token, secret.get_secret_value(), algorithms=["HS256"], options={"verify_aud": False}
        )
    except PyJWTError as error:
        raise UnauthorizedError("The signed user header does not hold.") from error
    found = claims.get("id") or claims.get("sub")
    if not isinstance(found, str) or not found:
        raise UnauthorizedError("The signed user header names nobody.")
    return found
