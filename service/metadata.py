"""What clients may note beside things of ours: a small JSON object."""

import json
from typing import Annotated

from pydantic import AfterValidator, JsonValue

_LARGEST_METADATA, _DEEPEST_METADATA = 4096, 8


def _small(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if _depth(value) > _DEEPEST_METADATA:
        raise ValueError(f"may not be nested deeper than {_DEEPEST_METADATA}")
    if not _fits(value):
        raise ValueError("may not hold whole numbers of more than 64 bits")
    if len(json.dumps(value, ensure_ascii=False)) > _LARGEST_METADATA:
        raise ValueError(f"may not be longer than {_LARGEST_METADATA} characters as JSON")
    return value


def _fits(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(map(_fits, value.values()))
    if isinstance(value, list):
        return all(map(_fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def _depth(value: JsonValue) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


Metadata = Annotated[dict[str, JsonValue], AfterValidator(_small)]
"""Up to 4,096 characters as JSON, nested up to eight deep, whole numbers of up to 64 bits."""
