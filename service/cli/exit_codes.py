"""Exit codes, the same for all commands."""

from enum import IntEnum

from onionskin.memory.errors import OnionskinError


class ExitCode(IntEnum):
    """Exit code of a command.

    `AWAY` is EX_UNAVAILABLE of sysexits.h. The last two are the codes that shells report for a
    process that SIGINT or SIGPIPE ended.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    AWAY = 69
    INTERRUPTED = 130
    UNREAD = 141


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "the command failed or was refused, or a check found a problem",
    ExitCode.USAGE: "wrong usage or settings",
    ExitCode.AWAY: "unavailable: the service, Redis, the model or the embedder",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C",
    ExitCode.UNREAD: "the reader of the output is gone",
}
"""The meaning of each code, as the help shows it."""

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
    "model_refused": ExitCode.USAGE,
    "model_unavailable": ExitCode.AWAY,
    "model_timeout": ExitCode.AWAY,
}


def exit_code_of(error: OnionskinError) -> ExitCode:
    """The exit code for an error."""
    return _CODES.get(error.code, ExitCode.FAILED)
