"""Answers kept on this device, in SQLite with a write-ahead log: what was acknowledged survives kill -9.

Runs inline, without threads: a look-up takes well under a millisecond. A full disk or a damaged file costs the cache,
never an answer.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from nodes.clock import WallClock, system_wall_clock
from nodes.trace import Trace

__all__ = ["ENTRIES_MAX", "AnswerCache", "CachedAnswer"]

_SCHEMA = """
create table if not exists answers (
    key blob primary key, text text not null, model text not null, answered_by text not null,
    tokens integer not null, truncated integer not null, hops integer not null, made_at real not null
) without rowid;
create index if not exists answers_by_age on answers (made_at);
"""
_LIFETIME_S = 30 * 24 * 3600.0
ENTRIES_MAX = 100_000
_TIDY_EVERY = 256


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it was first given."""

    text: str
    model: str
    answered_by: str
    tokens: int
    truncated: bool
    hops: int
    made_at: float = 0.0
    """Wall time, seconds since 1970; set when the answer is kept."""


class AnswerCache:
    """A table of answers by key."""

    def __init__(
        self, path: Path | None, trace: Trace, *, wall: WallClock = system_wall_clock, entries_max: int = ENTRIES_MAX
    ) -> None:
        """Open or make the file at `path`; None keeps the answers in memory only."""
        self._path = path
        self._trace = trace
        self._wall = wall
        self._entries_max = entries_max
        self._puts = 0
        self._db: sqlite3.Connection | None = None
        try:
            self._db = self._open()
        except OSError as error:
            self._trace.note("cache.off", why=str(error))
        except sqlite3.DatabaseError as error:
            self._set_aside(error)

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def get(self, key: bytes) -> CachedAnswer | None:
        """Return the answer under `key`, unless it is older than 30 days."""
        if self._db is None:
            return None
        try:
            row = self._db.execute(
                "select text, model, answered_by, tokens, truncated, hops, made_at from answers where key = ?", (key,)
            ).fetchone()
        except sqlite3.DatabaseError as error:
            self._trace.note("cache.unreadable", why=str(error))
            return None
        if row is None or self._wall() - row[6] > _LIFETIME_S:
            return None
        return CachedAnswer(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6])

    def put(self, key: bytes, answer: CachedAnswer) -> bool:
        """Keep an answer; returns True once it is safe from a crash of this process, False when it can't be kept."""
        if self._db is None:
            return False
        try:
            with self._db:
                self._db.execute(
                    "insert or replace into answers values (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        key,
                        answer.text,
                        answer.model,
                        answer.answered_by,
                        answer.tokens,
                        answer.truncated,
                        answer.hops,
                        self._wall(),
                    ),
                )
                self._puts += 1
                if self._puts % _TIDY_EVERY == 1:
                    self._tidy(self._db)
        except sqlite3.DatabaseError as error:
            self._trace.note("cache.not_kept", why=str(error))
            return False
        return True

    def __len__(self) -> int:
        if self._db is None:
            return 0
        try:
            return int(self._db.execute("select count(*) from answers").fetchone()[0])
        except sqlite3.DatabaseError as error:
            self._trace.note("cache.unreadable", why=str(error))
            return 0

    def _tidy(self, db: sqlite3.Connection) -> None:
        db.execute("delete from answers where made_at < ?", (self._wall() - _LIFETIME_S,))
        db.execute(
            "delete from answers where key in (select key from answers order by made_at desc limit -1 offset ?)",
            (self._entries_max,),
        )

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            # What its owner asked is nobody else's business.
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path or ":memory:", timeout=2.0)
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = normal")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        if isinstance(error, sqlite3.OperationalError) or self._path is None:
            self._trace.note("cache.off", why=str(error))
            return
        kept = self._path.with_suffix(".damaged")
        self._trace.note("cache.damaged", why=str(error), kept_as=kept.name)
        with contextlib.suppress(OSError):
            self._path.replace(kept)
            for extra in ("-wal", "-shm"):
                Path(f"{self._path}{extra}").unlink(missing_ok=True)
            with contextlib.suppress(sqlite3.DatabaseError):
                self._db = self._open()
