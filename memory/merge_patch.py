"""JSON merge patches (RFC 7386)."""

import json
from collections.abc import Mapping
from typing import Any, cast

from onionskin.memory.errors import InvalidInputError

LONGEST_METADATA = 4096
"""Most characters of metadata as JSON."""


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` with a JSON merge patch applied: null removes a key, objects are merged.

    Source: RFC 7386.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(cast("Mapping[str, Any]", target)) if isinstance(target, Mapping) else {}
    for name, value in cast("Mapping[str, Any]", patch).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def merge_metadata(before: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with a patch applied.

    Raises:
        InvalidInputError: The result is too long.
    """
    merged = cast("dict[str, Any]", merge_patch(before, patch))
    if len(json.dumps(merged, ensure_ascii=False, default=str)) > LONGEST_METADATA:
        raise InvalidInputError(
            f"The merged metadata may not be longer than {LONGEST_METADATA} characters as JSON. "
            "Remove keys: null removes one."
        )
    return merged
