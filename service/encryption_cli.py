"""`strata encryption`: master keys made and rotated, and plain data sealed."""

from dataclasses import asdict
from typing import Annotated

import typer

from memory.errors import StrataError
from service.options import AsJson, example
from service.printing import remark, say, say_json

app = typer.Typer(
    help="Encryption at rest: make master keys, rotate them, seal plain data.",
    no_args_is_help=True,
    epilog=example("strata encryption key 2026-11"),
)
KeyId = Annotated[str, typer.Argument(help="The id of a master key.")]
_COMPACT = (
    "Copies of before (append-only file, snapshots, backups) stay as they were: rewrite the file "
    "with BGREWRITEAOF, and delete the others."
)


@app.command(epilog=example("strata encryption key 2026-11"))
def key(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Draw a master key, as STRATA_ENCRYPTION_KEYS takes it. It is stored nowhere."""
    from memory.store.master_keys import drawn_master_key

    drawn = drawn_master_key(key_id)
    if as_json:
        say_json({"id": key_id, "key": drawn})
    else:
        say(drawn)


@app.command(epilog=example("strata encryption rotate"))
def rotate(*, as_json: AsJson = False) -> None:
    """Wrap every user's data key by the first of the master keys; run again if it was stopped."""
    from service.encrypting import rotate_all, rotation_told

    done = rotate_all()
    if as_json:
        say_json(asdict(done))
    else:
        say(rotation_told(done))
    if done.failed:
        raise StrataError("Those that do not open need the master key that wraps them.")
    for one in () if as_json else done.dropped:
        say(f"Master key {one!r} wraps nothing any more: drop it.")


@app.command(epilog=example("strata encryption seal"))
def seal(*, as_json: AsJson = False) -> None:
    """Seal what was stored before there were keys; run again if it was stopped."""
    from service.encrypting import rewritten, seal_all, sealing_told

    done = seal_all()
    compacted = rewritten()
    if as_json:
        say_json({**asdict(done), "compacted": compacted})
        return
    say(sealing_told(done))
    remark("The append-only file was rewritten; delete older copies." if compacted else _COMPACT)


@app.command(epilog=example("strata encryption forget 2025-11"))
def forget(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Take a master key for lost: what it wraps stays shut, and the service starts without it."""
    from memory.store.encryption import forget_master_key
    from service.joining import with_redis

    if not with_redis(lambda connection: forget_master_key(connection, key_id)):
        raise StrataError(f"Master key {key_id!r} is not in use here.")
    if as_json:
        say_json({"forgotten": key_id})
    else:
        say(f"Master key {key_id!r} is not asked for any more.")
