"""From what was drawn to what is written: new records, confirmed ones, superseded ones.

Drawn records find their place among those that there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from onionskin.memory.errors import RecordConflictError, RecordsFullError, UnknownRecordError
from onionskin.memory.records.extraction import ExtractedRecord
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval.embedders.base import Embedder, embed_with_timeout
from onionskin.memory.retrieval.ranking.selection import EVERYTHING
from onionskin.memory.store import RedisStore
from onionskin.memory.store.records import ExtractionRange, RecordWrite, write_records
from onionskin.memory.types.messages import Entry, User, Vector
from onionskin.memory.types.records import Record, RecordChange, new_record_id

_CONFIRMED_KEPT, _CONFIRMED_RAISES, _DECIMALS = 8, 0.05, 6


class RecordMerger:
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
        self._writes: dict[str, RecordWrite] = {}

    @property
    def writes(self) -> list[RecordWrite]:
        """What is to be written."""
        return list(self._writes.values())

    def take(self, drawn: ExtractedRecord, vector: Vector | None) -> None:
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

    def _create(self, drawn: ExtractedRecord, line: Entry, vector: Vector | None) -> Record:
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
        self._writes[record.id] = RecordWrite(
            record, None, vector, RecordChange(self._now, "created", record)
        )
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
        self._writes[record.id] = RecordWrite(
            after, record, step=RecordChange(self._now, "confirmed", after)
        )

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
        self._writes[old.id] = RecordWrite(
            after, old, step=RecordChange(self._now, "superseded", after)
        )


def turn_of(line: Entry, lines: Sequence[Entry]) -> str:
    """The id of the turn that a message is of: a reply belongs to what was said before it."""
    position = line.position
    if line.message.role == "assistant":
        asked = (one for one in lines if one.position == position - 1)
        position -= any(one.message.role == "user" for one in asked)
    return f"{line.session_id}.{position}"


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!。")


_TRIES, _PER_LINE = 5, 4


class RecordConsolidator:
    """Compares what is drawn with what is known, and writes it with where it came from.

    Args:
        store: where it is written.
        memories: what is known.
        embedder: of lines and contents.
        embed_seconds: how long to wait for it; vectors are made later, then.
        most: the most records of a user; 0 for any number.
    """

    def __init__(
        self,
        store: RedisStore,
        memories: RecordService,
        embedder: Embedder,
        *,
        embed_seconds: float,
        most: int,
    ) -> None:
        self._store, self._memories, self._embedder = store, memories, embedder
        self._embed_seconds, self._most = embed_seconds, most

    async def known(self, user: User, lines: Sequence[Entry], most: int) -> list[Record]:
        """The records that the lines may say again or contradict, no more than `most`."""
        index, now = await self._memories.index(user), self._memories.clock()
        asked = [line.message.spoken for line in lines if line.message.role == "user"]
        vectors = await embed_with_timeout(self._embedder, asked, self._embed_seconds)
        ranked = [
            index.search(
                text,
                vector,
                top_k=_PER_LINE,
                where=lambda record: record.is_recalled(now),
                selection=EVERYTHING,
            )
            for text, vector in zip(asked, vectors, strict=True)
        ]
        by_score = sorted((hit for hits in ranked for hit in hits), key=lambda one: -one.hit.score)
        found = {hit.record.id: hit.record for hit in by_score}
        return list(found.values())[:most]

    async def consolidate(
        self,
        user: User,
        said: tuple[Sequence[Entry], Sequence[Entry]],
        drawn: Sequence[ExtractedRecord],
        known: Sequence[Record],
        extracted: ExtractionRange,
    ) -> str | None:
        """Write what was drawn, and that the lines were drawn from: together, or not at all.

        Args:
            user: whose.
            said: the lines before those that were drawn from, and these.
            drawn: by the model.
            known: what it was shown, in the order of its numbers.
            extracted: the stretch of the session.

        Returns:
            How it went: the outcome of `extracted`, or `full`: the user may have no more records,
            and nothing was kept of these. None when another worker was faster.

        Raises:
            UnknownSessionError: the session is gone.
        """
        contents = [one.content for one in drawn]
        vectors = await embed_with_timeout(self._embedder, contents, self._embed_seconds)
        for tries in range(1, _TRIES + 1):
            index, now = await self._memories.index(user), self._memories.clock()
            current = [index.get(one.id) or one for one in known]
            merger = RecordMerger(*said, current, index, now)
            for one, vector in zip(drawn, vectors, strict=True):
                merger.take(one, vector)
            try:
                first = await write_records(
                    self._store, user, merger.writes, most=self._most, extracted=extracted
                )
            except RecordsFullError:
                passed = replace(extracted, outcome="full")
                first = await write_records(self._store, user, [], extracted=passed)
                return "full" if first else None
            except (RecordConflictError, UnknownRecordError):
                if tries == _TRIES:
                    raise
            else:
                return extracted.outcome if first else None
        raise AssertionError("the last try returns or raises")
