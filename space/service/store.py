"""What a server knows of its jobs, in a database: SQLite in the data folder, or any that SQLAlchemy speaks to.

No URL, no address and no file name is ever written here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)

LAST_STAGES = ("done", "failed", "cancelled")

_METADATA = MetaData()
_JOBS = Table(
    "telltale_jobs",
    _METADATA,
    Column("id", String(32), primary_key=True),
    Column("caller", String(32), nullable=False, index=True),
    Column("stage", String(16), nullable=False),
    Column("fraction", Float, nullable=False),
    Column("preliminary", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("share", JSON(none_as_null=True)),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False, index=True),
)


@dataclass(frozen=True)
class JobRow:
    """A job as it is kept. Times are seconds since the epoch."""

    id: str  # 32 hex digits, chosen by the caller
    caller: str  # a name of ``callers``
    stage: str
    fraction: float  # of the whole check, [0, 1]
    created: float
    expires: float
    preliminary: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None  # {"code", "params"}
    share: Mapping[str, Any] | None = None  # what its owner was given when it was shared


class Store:
    """Jobs in a database; safe to use from several threads.

    Args:
        url: as SQLAlchemy reads it.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, hide_parameters=True)  # in the messages of its errors
        if self._is_sqlite:
            event.listen(self._engine, "connect", _set_up_sqlite)
        _METADATA.create_all(self._engine)

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @property
    def engine(self) -> Engine:
        """What speaks to the database."""
        return self._engine

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def add(self, row: JobRow) -> None:
        """Keep a new job."""
        with self._engine.begin() as connection:
            connection.execute(insert(_JOBS).values(**vars(row)))

    def change(self, job_id: str, **values: Any) -> None:
        """Change some of what is known of a job; nothing happens if it has gone."""
        with self._engine.begin() as connection:
            connection.execute(update(_JOBS).where(_JOBS.c.id == job_id).values(**values))

    def find(self, job_id: str) -> JobRow | None:
        """A job, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(select(_JOBS).where(_JOBS.c.id == job_id)).mappings().first()
        return None if row is None else JobRow(**row)

    def end_unfinished(self, error: Mapping[str, Any], *, expires: float) -> int:
        """End every job without an end as failed; how many there were."""
        with self._engine.begin() as connection:
            result = connection.execute(
                update(_JOBS)
                .where(_JOBS.c.stage.not_in(LAST_STAGES))
                .values(stage="failed", error=dict(error), expires=expires)
            )
        return int(result.rowcount)

    def calls_since(self, caller: str, *, since: float) -> list[float]:
        """When a caller's jobs after a time were accepted, the oldest first."""
        query = select(_JOBS.c.created).where(_JOBS.c.caller == caller, _JOBS.c.created > since)
        with self._engine.connect() as connection:
            return sorted(connection.execute(query).scalars())

    def n_unfinished(self, caller: str) -> int:
        """How many of a caller's jobs have no end yet."""
        query = select(func.count()).where(_JOBS.c.caller == caller, _JOBS.c.stage.not_in(LAST_STAGES))
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def expired(self, *, now: float) -> list[str]:
        """Ids of ended jobs that have had their time."""
        query = select(_JOBS.c.id).where(_JOBS.c.expires <= now, _JOBS.c.stage.in_(LAST_STAGES))
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def done(self) -> set[str]:
        """Ids of jobs that ended with a report."""
        with self._engine.connect() as connection:
            return set(connection.execute(select(_JOBS.c.id).where(_JOBS.c.stage == "done")).scalars())

    def delete(self, job_ids: Collection[str]) -> None:
        """Forget jobs; SQLite overwrites them and empties its log, so that no trace stays in its files."""
        if not job_ids:
            return
        with self._engine.begin() as connection:
            connection.execute(delete(_JOBS).where(_JOBS.c.id.in_(job_ids)))
        if self._is_sqlite:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def sqlite_url(path: Path) -> str:
    """A database in a file, for ``Store``."""
    return f"sqlite:///{path}"


def _set_up_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for name, value in {
        "journal_mode": "WAL",
        "synchronous": "NORMAL",
        "secure_delete": "ON",
        "busy_timeout": 5000,
    }.items():
        cursor.execute(f"PRAGMA {name}={value}")
    cursor.close()
