"""How commands end: a number for each kind of ending, the same for all of them."""

from enum import IntEnum

from onionskin.memory.errors import OnionskinError


class ExitCode(IntEnum):
    """The number that a shell is handed.

    `AWAY` is EX_UNAVAILABLE of sysexits.h; the last two are what shells say of a process that
    SIGINT or SIGPIPE ended.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    AWAY = 69
    INTERRUPTED = 130
    UNREAD = 141


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "what was asked for failed or was refused, or a check found something",
    ExitCode.USAGE: "wrong usage or settings",
    ExitCode.AWAY: "what is needed is away: the service, Redis, the model or the embedder",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C",
    ExitCode.UNREAD: "whoever read the output has gone",
}
"""What each says, for people."""

_CODES = {
    "configuration": ExitCode.USAGE,
    "invalid_input": ExitCode.USAGE,
    "unknown_profile": ExitCode.USAGE,
    "service_away": ExitCode.AWAY,
    "store_unavailable": ExitCode.AWAY,
    "embedded_redis": ExitCode.AWAY,
    "embedder": ExitCode.AWAY,
    "embedder_unavailable": ExitCode.AWAY,
    "model_failed": ExitCode.AWAY,
    "model_unavailable": ExitCode.AWAY,
    "model_timeout": ExitCode.AWAY,
}


def exit_code_of(error: OnionskinError) -> ExitCode:
    """How a command ends that an error stopped."""
    return _CODES.get(error.code, ExitCode.FAILED)
