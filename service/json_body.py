r"""JSON bodies of requests: text that is no Unicode is replaced, and nesting is limited.

JSON can contain half of a surrogate pair (`"\ud83d"`), as text that was cut in the middle of an
emoji. Such a string cannot be encoded, stored or sent. Each half becomes U+FFFD, the replacement
character, in every place: messages, names, metadata and keys.
"""

import re

import numpy as np
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

DEEPEST = 64
"""Most levels of arrays and objects; deeper ones exhaust the stack of some parsers."""
_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_HALF_ESCAPED = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_HALF_ENCODED = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_QUOTE, _OPENING, _CLOSING = ord('"'), ord("["), ord("]")
_WITHOUT_CASE = 0b1101_1111
"""Mask that makes `{` of ASCII the same as `[`, and `}` the same as `]`."""
_REPLACEMENT = "\ufffd"


def with_valid_json(scope: Scope, receive: Receive) -> Receive:
    """`receive` of a request, whose JSON body is read whole, checked and repaired.

    Raises:
        HTTPException: When the body is received, with 422: it is nested deeper than `DEEPEST`.
    """
    if scope["type"] != "http" or scope["method"] not in _METHODS or not _is_json(scope):
        return receive
    is_read = False

    async def receive_checked() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        pieces: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                is_read = True
                return {"type": "http.request", "body": valid_json(b"".join(pieces))}

    return receive_checked


def valid_json(body: bytes) -> bytes:
    """A JSON text in which U+FFFD replaces each half of a surrogate pair.

    Raises:
        HTTPException: With 422: it is nested deeper than `DEEPEST`.
    """
    if body.count(b"[") + body.count(b"{") > DEEPEST and _is_too_deep(body):
        raise HTTPException(
            422, f"The JSON is nested more than {DEEPEST} levels deep. Send a flatter structure."
        )
    if b"\\u" not in body and b"\xed" not in body:
        return body
    body = _HALF_ENCODED.sub(_REPLACEMENT.encode(), body)
    return _HALF_ESCAPED.sub(lambda match: match[1] or rb"\ufffd", body)


def _is_too_deep(body: bytes) -> bool:
    plain = body.replace(rb"\\", b"  ").replace(rb"\"", b"  ")
    characters = np.frombuffer(plain, dtype=np.uint8)
    is_inside_string = np.bitwise_xor.accumulate((characters == _QUOTE).view(np.uint8))
    kinds = characters & _WITHOUT_CASE
    places = np.flatnonzero((kinds == _OPENING) | (kinds == _CLOSING))
    places = places[is_inside_string[places] == 0]
    steps = np.where(kinds[places] == _OPENING, 1, -1)
    return bool(places.size) and int(np.cumsum(steps).max()) > DEEPEST


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            return kind == b"application/json" or kind.endswith(b"+json")
    return False
