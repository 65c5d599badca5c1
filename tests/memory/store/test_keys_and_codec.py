"""Keys keep users apart whatever they are called; values come back as they were."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onionskin.memory.errors import CorruptValueError
from onionskin.memory.store import keys
from onionskin.memory.store.codec import pack_message, pack_vector, unpack_message, unpack_vector
from onionskin.memory.types.messages import Message, ToolCall, ToolResult, User

_names = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["a", "a}", "{a", "a:b", "a/b", "%7Ba", "a%2Fb", "😀", "\0", "}:session:x"]
)
_LATER = ((), (), False, "", None, "a field of a later version")
_users = st.builds(User, _names, _names)


@given(one=_users, two=_users)
def test_no_two_users_share_the_beginning_of_a_key(one: User, two: User) -> None:
    assume(one != two)
    assert not keys.prefix(one).startswith(keys.prefix(two))


@given(user=_users)
def test_a_key_has_one_hash_tag_that_no_name_can_change(user: User) -> None:
    key = keys.messages(user, "s_1")
    assert key.count("{") == key.count("}") == 1
    tag = key[key.index("{") + 1 : key.index("}")]
    assert tag.count("/") == 1
    assert ":" not in tag
    assert key.index("{") < key.index("}")


@given(user=_users)
def test_a_session_key_names_its_user(user: User) -> None:
    assert keys.parse_session(keys.session(user, "s_1")) == (user, "s_1")


@given(
    content=st.text(),
    at=st.floats(allow_nan=False, allow_infinity=False),
    author=st.none() | st.text(),
    interrupted=st.booleans(),
    profile=st.text(),
    calls=st.lists(st.builds(ToolCall, st.text(), st.text(), st.text()), max_size=2),
    results=st.lists(st.builds(ToolResult, st.text(), st.text(), st.text()), max_size=2),
    refused=st.booleans(),
    metadata=st.text(),
    utc_offset=st.none() | st.integers(-86_400, 86_400),
)
def test_a_message_comes_back_as_it_was(
    content: str,
    at: float,
    author: str | None,
    interrupted: bool,
    profile: str,
    calls: list[ToolCall],
    results: list[ToolResult],
    refused: bool,
    metadata: str,
    utc_offset: int | None,
) -> None:
    message = Message(
        "assistant",
        content,
        at,
        author,
        interrupted,
        profile,
        tuple(calls),
        tuple(results),
        refused,
        metadata,
        utc_offset,
    )
    assert unpack_message(pack_message(message)) == message


@pytest.mark.parametrize("later", [(), (True,), (True, "layered"), (True, "layered", *_LATER)])
def test_a_message_of_another_time_is_read(later: tuple[Any, ...]) -> None:
    packed = msgspec.msgpack.encode((1, "assistant", "Hi.", 2.5, None, *later))
    interrupted, profile = (*later, *(False, "")[len(later) :])[:2]
    assert unpack_message(packed) == Message(
        "assistant", "Hi.", 2.5, None, bool(interrupted), str(profile)
    )


@given(data=st.binary())
def test_anything_else_is_kept_apart(data: bytes) -> None:
    with pytest.raises(CorruptValueError):
        unpack_message(data)


def test_a_value_of_a_later_version_says_so() -> None:
    packed = bytearray(pack_message(Message("user", "hi", 0.0)))
    packed[1] = 9
    with pytest.raises(CorruptValueError, match="Upgrade"):
        unpack_message(bytes(packed))


def test_a_vector_counts_for_its_own_embedder_alone() -> None:
    vector = np.array([0.5, -0.25, 0.125], dtype=np.float32)
    packed = pack_vector("static-1", vector)
    unpacked = unpack_vector(packed, "static-1")
    assert unpacked is not None
    assert np.array_equal(unpacked, vector.astype(np.float16))
    assert unpack_vector(packed, "static-2") is None
    assert unpack_vector(packed[:-1], "static-1") is None
    assert unpack_vector(None, "static-1") is None
