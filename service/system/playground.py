"""The playground: one page at `/` and its files under `/web/`, with a strict content policy."""

from pathlib import Path
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).parents[1] / "web"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img", "font")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
_files = StaticFiles(directory=_FOLDER)
R = TypeVar("R", bound=Response)


@router.get("/")
async def page() -> FileResponse:
    """Serve the page. Without access to the API it is empty and asks for a key."""
    return _guarded(FileResponse(_FOLDER / "index.html"))


@router.get("/web/{path:path}")
async def file(path: str, request: Request) -> Response:
    """Serve one file of the page."""
    return _guarded(await _files.get_response(path, request.scope))


def _guarded(response: R) -> R:
    response.headers.update(_HEADERS)
    return response
