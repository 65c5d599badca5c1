"""Merges extracted records with a user's existing ones: creates, confirms or supersedes them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from onionskin.memory.errors import RecordConflictError, RecordsFullError, UnknownRecordError
from onionskin.memory.records.extraction import ExtractedRecord
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import EVERYTHING, Embedder, embed_with_timeout
from onionskin.memory.store import ExtractionRange, RecordWrite, RedisStore
from onionskin.memory.types.messages import Entry, User, Vector
from onionskin.memory.types.records import Record, RecordChange, new_record_id

_MAX_CONFIRMATIONS, _IMPORTANCE_STEP, _DECIMALS = 8, 0.05, 6
_ATTEMPTS, _HITS_PER_LINE = 5, 4


class RecordConsolidator:
    """Compares extracted records with the user's records, and stores the result.

    Args:
        store: Where records are written.
        records: The existing records.
        embedder: Embeds lines and contents.
        embed_seconds: Time limit for the embedder; later vectors are made in the background.
        limit: Most records of one user; 0 for no limit.
    """

    def __init__(
        self,
        store: RedisStore,
        records: RecordService,
        embedder: Embedder,
        *,
        embed_seconds: float,
        limit: int,
    ) -> None:
        self._store, self._records, self._embedder = store, records, embedder
        self._embed_seconds, self._limit = embed_seconds, limit

    async def find_related(self, user: User, lines: Sequence[Entry], limit: int) -> list[Record]:
        """Up to `limit` existing records that the lines may repeat or contradict, best first."""
        index, now = await self._records.index(user), self._records.clock()
        queries = [line.message.spoken for line in lines if line.message.role == "user"]
        vectors = await embed_with_timeout(self._embedder, queries, self._embed_seconds)
        ranked = [
            index.search(
                text,
                vector,
                top_k=_HITS_PER_LINE,
                where=lambda record: _is_comparable(record, now),
                selection=EVERYTHING,
            )
            for text, vector in zip(queries, vectors, strict=True)
        ]
        by_score = sorted((hit for hits in ranked for hit in hits), key=lambda hit: -hit.hit.score)
        related = {hit.record.id: hit.record for hit in by_score}
        return list(related.values())[:limit]

    async def consolidate(
        self,
        user: User,
        lines: tuple[Sequence[Entry], Sequence[Entry]],
        extracted: Sequence[ExtractedRecord],
        known: Sequence[Record],
        extraction_range: ExtractionRange,
    ) -> str | None:
        """Write the extracted records and the session's progress in one transaction.

        Args:
            user: Owner of the records.
            lines: The lines before the extracted ones, for context; and the extracted lines.
            extracted: The model's records.
            known: The records that the model saw, in the order of their numbers.
            extraction_range: The part of the session that was read.

        Returns:
            The outcome of `extraction_range`, or `full`: the user has the most records allowed, and
            none of these were stored. None if another worker stored the same range first.

        Raises:
            UnknownSessionError: The session was deleted.
        """
        contents = [record.content for record in extracted]
        vectors = await embed_with_timeout(self._embedder, contents, self._embed_seconds)
        for attempt in range(1, _ATTEMPTS + 1):
            index, now = await self._records.index(user), self._records.clock()
            current = [index.get(record.id) or record for record in known]
            merger = RecordMerger(*lines, current, index, now)
            for record, vector in zip(extracted, vectors, strict=True):
                merger.add(record, vector)
            try:
                first = await self._store.records.write(
                    user, merger.writes, limit=self._limit, extracted=extraction_range
                )
            except RecordsFullError:
                passed = replace(extraction_range, outcome="full")
                first = await self._store.records.write(user, [], extracted=passed)
                return "full" if first else None
            except (RecordConflictError, UnknownRecordError):
                if attempt == _ATTEMPTS:
                    raise
            else:
                return extraction_range.outcome if first else None
        raise AssertionError("the last attempt returns or raises")


class RecordMerger:
    """Turns one batch of extracted records into writes, at most one per record.

    Args:
        before: The lines before the extracted ones.
        lines: The extracted lines.
        known: The records that the model saw, in the order of their numbers.
        records: All records of the user.
        now: Current time in Unix seconds.
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
        self._by_content = {
            _normalized(record.content): record for record in records if _is_comparable(record, now)
        }
        self._writes: dict[str, RecordWrite] = {}

    @property
    def writes(self) -> list[RecordWrite]:
        """The writes of the batch."""
        return list(self._writes.values())

    def add(self, extracted: ExtractedRecord, vector: Vector | None) -> None:
        """Add an extracted record: a new record, or a confirmation of an existing one."""
        line = self._lines[extracted.line - 1]
        same = self._by_content.get(_normalized(extracted.content))
        if same is None and extracted.same_as is not None:
            same = self._known[extracted.same_as - 1]
        if same is not None:
            self._confirm(same, turn_of(line, self._all))
            current = same
        else:
            current = self._create(extracted, line, vector)
        for number in extracted.replaces:
            old = self._known[number - 1]
            if old.id != current.id:
                self._supersede(old, current, line.message.at)

    def _create(self, extracted: ExtractedRecord, line: Entry, vector: Vector | None) -> Record:
        at = line.message.at
        record = Record(
            new_record_id(),
            extracted.content.strip(),
            extracted.kind,
            "long",
            created=self._now,
            updated=self._now,
            entities=tuple(dict.fromkeys(extracted.entities)),
            importance=round(extracted.importance, _DECIMALS),
            valid_from=at,
            source=turn_of(line, self._all),
        )
        newer = [
            (old.valid_from, old.id)
            for old in (self._known[number - 1] for number in extracted.replaces)
            if old.valid_from is not None and old.valid_from > at
        ]
        if newer:  # an older conversation was imported later: its fact was already outdated
            valid_to, newer_id = min(newer)
            record = replace(record, valid_to=valid_to, superseded_by=newer_id)
        self._by_content[_normalized(record.content)] = record
        self._writes[record.id] = RecordWrite(
            record, None, vector, RecordChange(self._now, "created", record)
        )
        return record

    def _confirm(self, record: Record, turn: str) -> None:
        if record.id in self._writes or turn in (record.source, *record.confirmed):
            return
        importance = min(1.0, round(record.importance + _IMPORTANCE_STEP, _DECIMALS))
        after = replace(
            record,
            confirmed=latest_confirmations((*record.confirmed, turn)),
            importance=importance,
            revision=record.revision + 1,
        )
        self._writes[record.id] = RecordWrite(
            after, record, step=RecordChange(self._now, "confirmed", after)
        )

    def _supersede(self, old: Record, new: Record, at: float) -> None:
        """End the old record's validity at `at`. Pinned records and rules are never superseded."""
        is_final = old.pinned or old.kind == "rule" or old.valid_to is not None
        if is_final or old.id in self._writes or (old.valid_from or at) > at:
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


def latest_confirmations(turns: tuple[str, ...]) -> tuple[str, ...]:
    """The latest turns; of each session at least one, as long as there are not too many."""
    if len(turns) <= _MAX_CONFIRMATIONS:
        return turns
    sessions = [turn.partition(".")[0] for turn in turns]
    oldest = next((at for at, one in enumerate(sessions) if sessions.count(one) > 1), 0)
    return turns[:oldest] + turns[oldest + 1 :]


def turn_of(line: Entry, lines: Sequence[Entry]) -> str:
    """The id of a message's turn: a reply belongs to the user's message before it."""
    position = line.position
    if line.message.role == "assistant":
        asked = (entry.position for entry in lines if entry.message.role == "user")
        position = max((place for place in asked if place < position), default=position)
    return f"{line.session_id}.{position}"


def _is_comparable(record: Record, now: float) -> bool:
    """Whether a new record may repeat or contradict it: it is true now, or will be."""
    return record.status(now) in ("current", "upcoming")


def _normalized(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!。")
