"""From what was drawn to what is written: new records, confirmed ones, superseded ones."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from memory.extraction import Drawn
from memory.records import Record, Step, new_record_id
from memory.store.recording import Write
from memory.types import Entry, Vector

_CONFIRMED_KEPT, _CONFIRMED_RAISES, _DECIMALS = 8, 0.05, 6


class Merger:
    """Gathers the writes of one batch; each record is written once.

    Args:
        before: the lines before.
        lines: what was drawn from.
        known: the records that the model was shown, in the order of their numbers.
        records: all of the user's.
        now: Unix seconds.
    """

    def __init__(
        self,
        before: Sequence[Entry],
        lines: Sequence[Entry],
        known: Sequence[Record],
        records: Iterable[Record],
        now: float,
    ) -> None:
        self._lines, self._known, self._now = lines, known, now
        self._all = (*before, *lines)
        self._said = {_plain(one.content): one for one in records if one.is_recalled(now)}
        self._writes: dict[str, Write] = {}

    @property
    def writes(self) -> list[Write]:
        """What is to be written."""
        return list(self._writes.values())

    def take(self, drawn: Drawn, vector: Vector | None) -> None:
        """Keep what was drawn: as a record of its own, or as one more word for a known one."""
        line = self._lines[drawn.line - 1]
        same = self._said.get(_plain(drawn.content))
        if same is None and drawn.same_as is not None:
            same = self._known[drawn.same_as - 1]
        if same is not None:
            self._confirm(same, turn_of(line, self._all))
            kept = same
        else:
            kept = self._create(drawn, line, vector)
        for number in drawn.replaces:
            old = self._known[number - 1]
            if old.id != kept.id:
                self._supersede(old, kept, line.message.at)

    def _create(self, drawn: Drawn, line: Entry, vector: Vector | None) -> Record:
        at = line.message.at
        record = Record(
            new_record_id(),
            drawn.content.strip(),
            drawn.kind,
            "long",
            created=self._now,
            updated=self._now,
            entities=tuple(dict.fromkeys(drawn.entities)),
            importance=round(drawn.importance, _DECIMALS),
            valid_from=at,
            source=turn_of(line, self._all),
        )
        newer = [
            one.valid_from
            for number in drawn.replaces
            for one in [self._known[number - 1]]
            if one.valid_from is not None and one.valid_from > at
        ]
        if newer:  # an older conversation came in later: what it says was over by then
            record = replace(record, valid_to=min(newer))
        self._said[_plain(record.content)] = record
        self._writes[record.id] = Write(record, None, vector, Step(self._now, "created", record))
        return record

    def _confirm(self, record: Record, turn: str) -> None:
        if record.id in self._writes or turn in (record.source, *record.confirmed):
            return
        importance = min(1.0, round(record.importance + _CONFIRMED_RAISES, _DECIMALS))
        after = replace(
            record,
            confirmed=(*record.confirmed, turn)[-_CONFIRMED_KEPT:],
            importance=importance,
            revision=record.revision + 1,
        )
        self._writes[record.id] = Write(after, record, step=Step(self._now, "confirmed", after))

    def _supersede(self, old: Record, new: Record, at: float) -> None:
        """The old one stays, valid to when the new one came. Pins and rules are people's."""
        settled = old.pinned or old.kind == "rule" or old.valid_to is not None
        if settled or old.id in self._writes or (old.valid_from or at) > at:
            return
        after = replace(
            old,
            valid_to=at,
            superseded_by=new.id,
            updated=self._now,
            revision=old.revision + 1,
        )
        self._writes[old.id] = Write(after, old, step=Step(self._now, "superseded", after))


def turn_of(line: Entry, lines: Sequence[Entry]) -> str:
    """The id of the turn that a message is of: a reply belongs to what was said before it."""
    position = line.position
    if line.message.role == "assistant":
        asked = (one for one in lines if one.position == position - 1)
        position -= any(one.message.role == "user" for one in asked)
    return f"{line.session_id}.{position}"


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!。")
