"""JSON lines as they come over a network: in chunks that end anywhere, each line bounded."""

from collections.abc import AsyncIterator

LONGEST_LINE_BYTES = 1 << 20


async def read_lines(
    chunks: AsyncIterator[bytes], *, longest: int = LONGEST_LINE_BYTES
) -> AsyncIterator[bytes]:
    """The lines of `chunks`, without their ends; of one longer than `longest`, a beginning."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > longest:
            yield rest  # too long already; who reads it refuses it
    if rest.strip():
        yield rest
