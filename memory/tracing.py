"""From the sections of a prompt to what is kept of them."""

from memory.summary import verbatim
from memory.traces import HitTrace, LayerTrace
from memory.types import Section


def traced(section: Section) -> LayerTrace:
    """What a layer showed, by ids."""
    return LayerTrace(
        layer=section.layer,
        tokens=section.tokens,
        messages=tuple(entry.id for entry in verbatim(section)),
        text=section.text,
        sessions=tuple(digest.session_id for digest in section.digests),
        hits=tuple(
            HitTrace(hit.entry.id, hit.score, dict(hit.parts), tuple(e.id for e in hit.context))
            for hit in section.hits
        ),
        records=tuple(record.id for record in section.records),
    )
