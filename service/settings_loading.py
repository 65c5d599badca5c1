"""Settings as they stand on this machine: loaded, and shown with where each was set."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import SecretStr, ValidationError

from onionskin.memory.errors import ConfigurationError
from onionskin.service.console import remark, say_json, say_table
from onionskin.service.settings import Settings
from onionskin.service.settings_sources import closest, misspelt, origins, variable

_MASKED = "********"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as it stands: its variable, its value with secrets masked, where it was set."""

    variable: str
    value: str
    origin: str


def load_settings(**chosen: object) -> Settings:
    """The settings of this machine, with `chosen` ones before them.

    Raises:
        ConfigurationError: a setting cannot be used; the message names it and where it was set.
    """
    try:
        return Settings(**chosen)  # pyright: ignore[reportArgumentType, reportCallIssue]
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise ConfigurationError(_explained(str(first["loc"][0]), first, chosen)) from None


def _explained(name: str, problem: Any, chosen: dict[str, object]) -> str:
    place = origins(Settings, chosen).get(name.lower(), "")
    where = "" if place in {"", "environment", "command line"} else f" (in {place})"
    if problem["type"] == "extra_forbidden":
        like = closest(name, Settings.model_fields)
        meant = f" Did you mean {variable(like)}?" if like else ""
        return f"There is no setting {variable(name)}{where}.{meant}"
    value = _MASKED if _is_secret(name) else repr(problem["input"])
    how = " Write a number of seconds, or ISO 8601 such as PT30M." if _is_duration(name) else ""
    return f"{variable(name)} cannot be {value}{where}: {problem['msg']}.{how}"


def _is_duration(name: str) -> bool:
    field = Settings.model_fields.get(name.lower())
    return field is not None and field.annotation is timedelta


def _is_secret(name: str) -> bool:
    field = Settings.model_fields.get(name.lower())
    return field is not None and "SecretStr" in str(field.annotation)


def shown(**chosen: object) -> list[Shown]:
    """Every setting.

    Raises:
        ConfigurationError: one cannot be used.
    """
    settings = load_settings(**chosen)
    places = origins(Settings, chosen)
    return [
        Shown(variable(name), _text(getattr(settings, name)), places.get(name, "default"))
        for name in Settings.model_fields
    ]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return _MASKED
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}"
    return str(value)


def show_settings(*, as_json: bool) -> None:
    """Print every setting, secrets masked, and what in the environment looks misspelt."""
    found = shown()
    strange = misspelt(os.environ, Settings.model_fields)
    if as_json:
        settings = {one.variable: {"value": one.value or None, "from": one.origin} for one in found}
        say_json({"settings": settings, "unknown": strange})
        return
    say_table(
        ("setting", "value", "from"),
        (
            ((one.variable, one.value, one.origin), "dim" if one.origin == "default" else "bold")
            for one in found
        ),
    )
    for name, like in strange.items():
        meant = f"; did you mean {like}?" if like else "."
        remark(f"{name} is no setting{meant}", style="yellow")
