"""The terminal's side of a user as a whole: an export to standard output, and an erasure."""

import sys
from urllib.parse import quote

import httpx
import typer
from rich.console import Console

from service.client import ServiceError, detail, open_client, unreachable


def export(url: str, user: str) -> None:
    """Write all that is stored of a user to standard output.

    Raises:
        ServiceError: the service is away, or broke off; what was written is not complete then.
    """
    with open_client(url, timeout=httpx.Timeout(30, read=None)) as client:
        try:
            with client.stream("GET", f"/v1/users/{quote(user, safe='')}/export") as response:
                if not response.is_success:
                    response.read()
                    raise ServiceError(detail(response))
                for chunk in response.iter_bytes():
                    sys.stdout.buffer.write(chunk)
        except httpx.HTTPError as error:
            told = f"{unreachable(client, error)} What was written is not complete."
            raise ServiceError(told) from error
    sys.stdout.buffer.flush()


def erase(url: str, user: str, *, ask: bool) -> None:
    """Erase all that is stored of a user, and print the receipt as JSON.

    Raises:
        ServiceError: the service is away, or refuses.
    """
    if ask:
        typer.confirm(f"Erase all that is stored of {user!r}, for good?", abort=True, err=True)
    with open_client(url, timeout=120) as client:
        try:
            response = client.delete(f"/v1/users/{quote(user, safe='')}")
        except httpx.HTTPError as error:
            raise ServiceError(unreachable(client, error)) from error
    if not response.is_success:
        raise ServiceError(detail(response))
    Console().print_json(response.text)
