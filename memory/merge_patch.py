"""JSON merge patches (RFC 7386)."""

from collections.abc import Mapping
from typing import Any, cast


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
