"""Opening the ledger: SQLite by default, Postgres through ``postgresql+psycopg2://``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from audience_pipeline.ledger import migrations

BUSY_SECONDS = 60
"""How long a connection waits for another process that writes."""
_MIGRATING = threading.Lock()
"""Alembic keeps its context in module globals: one thread at a time."""


class LedgerError(Exception):
    """The ledger cannot be opened or is held by another run; the message says what to do."""


class Ledger:
    """An open ledger; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(ledger_writes=True)
        self._reader = engine
        if engine.dialect.name == "postgresql":
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ")

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect, and bring the schema to the newest version if it is not there yet.

        Args:
            url: an SQLAlchemy URL; the folder of an SQLite file is made when it is missing.

        Raises:
            LedgerError: the database cannot be reached, or a newer version has changed its schema.
        """
        ledger = cls(_engine(url))
        try:
            with ledger.exclusive("open", seconds=BUSY_SECONDS):
                ledger._prepare()
        except LedgerError:
            ledger.close()
            raise
        except SQLAlchemyError as error:
            ledger.close()
            # The driver's text is left out: it may repeat the URL with its password.
            raise LedgerError(
                f"The ledger {ledger!r} cannot be opened ({type(error).__name__}). "
                "Check AUDIENCE_LEDGER_URL, that the database runs and that its folder can be written."
            ) from None
        return ledger

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """A writing transaction: committed at the end, rolled back by an exception."""
        with self._writer.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view that keeps nobody from writing."""
        with self._reader.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def exclusive(self, name: str, *, seconds: float = 600) -> Iterator[None]:
        """Hold a lock that every process on this ledger respects and that dies with its holder.

        Raises:
            LedgerError: somebody else held it for all of ``seconds``.
        """
        busy = LedgerError(
            f"Another run works on '{name}' and did not finish within {seconds:.0f} seconds: wait for it."
        )
        database = self._engine.url.database
        if self._engine.dialect.name != "sqlite" or not database:
            with _advisory_lock(self._engine, name, seconds, busy):
                yield
            return
        lock = FileLock(f"{database}.{sha256(name.encode()).hexdigest()[:8]}.lock", thread_local=False)
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            raise busy from None
        except OSError as error:
            raise LedgerError(
                f"The folder of the ledger {self!r} cannot be written: {error.strerror}."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def scrub(self) -> None:
        """Leave nothing of what was deleted in the files of SQLite; a server sees to its own."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                if raw is not None:
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self._engine.url.render_as_string(hide_password=True)!r})"

    def _prepare(self) -> None:
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                if raw is not None:
                    raw.execute("PRAGMA journal_mode=WAL")
        with self._engine.connect() as connection:
            if inspect(connection).has_table("alembic_version"):
                version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
                if version == migrations.HEAD:
                    return
        with _MIGRATING, self.begin() as connection:
            _upgrade(connection)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LedgerError(
            "AUDIENCE_LEDGER_URL is no database URL: write it like postgresql+psycopg2://user@host/database"
        ) from None
    options: dict[str, Any] = {
        "hide_parameters": True,
        "pool_pre_ping": parsed.get_backend_name() != "sqlite",
    }
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise LedgerError("The ledger needs a file or a server: a database in memory forgets it all.")
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"The folder of the ledger cannot be made: {error.strerror}.") from None
        options["connect_args"] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    elif parsed.get_driver_name() == "psycopg2":
        options["executemany_mode"] = "values_plus_batch"
    engine = create_engine(parsed, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    # The driver opens transactions too late (and not for DDL); _begin_sqlite does it instead.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
        # What was sent must not be forgotten in a power cut, and what was erased must not be found.
        "synchronous=FULL",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that starts by reading and then writes fails at once when somebody wrote meanwhile.
    writes = connection.get_execution_options().get("ledger_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise LedgerError(
            "The ledger was changed by a newer version of this program: install that version again."
        ) from None


@contextlib.contextmanager
def _advisory_lock(engine: Engine, name: str, seconds: float, busy: LedgerError) -> Iterator[None]:
    key = int.from_bytes(sha256(f"audience_pipeline {name}".encode()).digest()[:8], signed=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("SELECT set_config('lock_timeout', :limit, false)"), {"limit": f"{seconds * 1000:.0f}ms"}
        )
        try:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        except SQLAlchemyError:
            raise busy from None
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.execute(text("SELECT set_config('lock_timeout', '0', false)"))
