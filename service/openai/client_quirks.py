"""Conventions of chat front-ends: auxiliary requests, and how they name their user."""

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
    """Whether a request asks for a title, tags or the like; it is answered but not stored.

    Signs are `metadata.task`, the headers `X-Onionskin-Task: <any>` and
    `X-Onionskin-Remember: false`, and a first or last message that starts like a template of
    Open WebUI or LibreChat.
    """
    if headers.get(_TASK) or headers.get(_REMEMBER, "").lower() in ("false", "0", "no"):
        return True
    if (request.metadata or {}).get("task"):
        return True
    return any(
        _is_template(message.text) for message in (request.messages[0], request.messages[-1])
    )


def _is_template(text: str) -> bool:
    lower = text.strip().casefold()
    if lower.startswith(_OPEN_WEBUI_TASK):
        return _OPEN_WEBUI_CHAT in lower
    start, instruction = _LIBRECHAT_STRUCTURED
    return lower.startswith(_LIBRECHAT) or (lower.startswith(start) and instruction in lower)


def user_of(
    request: CompletionRequest,
    headers: Mapping[str, str],
    principal: Principal,
    secret: SecretStr | None,
) -> str:
    """The id of the user whose memory a request uses.

    It is `user`, else `safety_identifier`, else Open WebUI's user, else the only user that the
    caller may access.

    Args:
        request: The request.
        headers: Its HTTP headers.
        principal: The caller.
        secret: Key of Open WebUI's signature; without it, Open WebUI's header is ignored.

    Raises:
        InvalidInputError: The request names no user, or an invalid one.
        UnauthorizedError: Open WebUI's signature is invalid.
    """
    user_id = request.user or request.safety_identifier
    if not user_id and secret and (token := headers.get(_USER_TOKEN)):
        user_id = _signed_user(token, secret)
    user_id = user_id or principal.user_id
    if not user_id:
        raise InvalidInputError(
            "The request names no user: send `user` (or `safety_identifier`) with your user's id."
        )
    if len(user_id) > 256 or "/" in user_id or not user_id.isprintable() or user_id in (".", ".."):  # noqa: PLR2004
        raise InvalidInputError("`user` must be up to 256 visible characters without '/'.")
    return user_id


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
            "Open WebUI's signed user header is invalid: its secret differs, or it has expired."
        ) from error
    return str(claims["sub"])
