"""What chat front-ends send beside conversations: jobs of their own, and whose request it is."""

from collections.abc import Mapping

import jwt
from jwt.exceptions import PyJWTError
from pydantic import SecretStr

from onionskin.memory.errors import InvalidInputError
from onionskin.service.auth.principals import Principal, UnauthorizedError
from onionskin.service.openai.schemas import CompletionRequest

_REMEMBER, _TASK = "x-onionskin-remember", "x-onionskin-task"
_OPEN_WEBUI_TASK, _OPEN_WEBUI_CHAT = "### task:", "<chat_history>"
_LIBRECHAT = (
    "provide a concise, 5-word-or-less title for the conversation",
    "please generate a concise, 5-word-or-less title for the conversation",
    "please generate a concise title (max 40 characters) for a conversation that starts with",
)
_LIBRECHAT_STRUCTURED = ("analyze this conversation and provide", "title in the detected language")
_USER_TOKEN, _ISSUER = "x-openwebui-user-jwt", "open-webui"
_LEEWAY_SECONDS = 60


def is_auxiliary_request(request: CompletionRequest, headers: Mapping[str, str]) -> bool:
    """Whether it asks for a title, tags or the like: answered, and not remembered.

    Known are `metadata.task`, the headers `X-Onionskin-Task: <any>` and `X-Onionskin-Remember: false`,
    and how the templates of Open WebUI and LibreChat begin, in the first message or the last.
    """
    if headers.get(_TASK) or headers.get(_REMEMBER, "").lower() in ("false", "0", "no"):
        return True
    if (request.metadata or {}).get("task"):
        return True
    return any(_is_template(one.text) for one in (request.messages[0], request.messages[-1]))


def _is_template(text: str) -> bool:
    folded = text.strip().casefold()
    if folded.startswith(_OPEN_WEBUI_TASK):
        return _OPEN_WEBUI_CHAT in folded
    opening, wish = _LIBRECHAT_STRUCTURED
    return folded.startswith(_LIBRECHAT) or (folded.startswith(opening) and wish in folded)


def user_of(
    request: CompletionRequest,
    headers: Mapping[str, str],
    principal: Principal,
    secret: SecretStr | None,
) -> str:
    """Whose memory a request is about: `user`, else `safety_identifier`, else Open WebUI's user.

    The last counts only signed, and only with the `secret` of the signature.

    Raises:
        InvalidInputError: it names nobody.
        UnauthorizedError: Open WebUI's signature does not hold.
    """
    named = request.user or request.safety_identifier
    if not named and secret and (token := headers.get(_USER_TOKEN)):
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
            token,
            secret.get_secret_value(),
            algorithms=["HS256"],
            issuer=_ISSUER,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["sub", "exp", "iss"], "verify_aud": False},
        )
    except PyJWTError as error:
        raise UnauthorizedError(
            "Open WebUI's signed user header does not hold: its secret differs, or it is too old."
        ) from error
    return str(claims["sub"])
