"""JSON bodies: halves of surrogate pairs become U+FFFD at every entry; nesting has a limit."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from onionskin.service.json_body import DEEPEST, valid_json

_text = st.text(st.characters() | st.sampled_from('\ud83d\ude00\udfff\ud800\\"u/{}[]'))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
)


@given(value=_json, escaped=st.booleans())
def test_what_is_parsed_can_be_encoded_and_is_otherwise_the_same(value: Any, escaped: bool) -> None:
    body = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    parsed = json.loads(valid_json(body))
    assert json.dumps(parsed, ensure_ascii=False).encode()
    if not any(
        "\ud800" <= character <= "\udfff" for character in json.dumps(value, ensure_ascii=False)
    ):
        assert parsed == value


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (rb'"hi \ud83d"', "hi \ufffd"),
        (rb'"\uD83D\uDE00"', "😀"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (b'"\xed\xa0\xbd"', "\ufffd"),
        (rb'{"\udfff": 1}', {"\ufffd": 1}),
        (b"5", 5),
    ],
)
def test_each_half_is_replaced_and_nothing_else(body: bytes, parsed: object) -> None:
    assert json.loads(valid_json(body)) == parsed


@pytest.mark.parametrize("kind", ["[]", "{}", "mixed"])
def test_the_limit_of_nesting_is_exact_and_ignores_strings(kind: str) -> None:
    def nested(levels: int) -> bytes:
        value: Any = "[{" * 200
        for level in range(levels):
            value = [value] if kind == "[]" or (kind == "mixed" and level % 2) else {"k": value}
        return json.dumps(value).encode()

    assert valid_json(nested(DEEPEST))
    for levels in (DEEPEST + 1, 500):
        with pytest.raises(HTTPException, match="nested"):
            valid_json(nested(levels))
    with pytest.raises(HTTPException):
        valid_json(b"[" * 100_000)
    wide = json.dumps([{"a": [{}]}] * 1000).encode()
    assert valid_json(wide) == wide
