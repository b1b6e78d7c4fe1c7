"""What the stand-ins remember: one SQLite file that survives a restart and a kill."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyroaring import BitMap

VERSION = 2
"""Of the tables; a file of another version is not opened."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audiences (
  number INTEGER PRIMARY KEY, platform TEXT NOT NULL, account TEXT NOT NULL, id TEXT NOT NULL,
  name TEXT NOT NULL, kind TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
  content_updated REAL, ready_at REAL NOT NULL, shown INTEGER NOT NULL,
  size INTEGER, matched INTEGER, oldest REAL, details TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS audience_ids ON audiences (platform, id);
CREATE INDEX IF NOT EXISTS audience_accounts ON audiences (platform, account);
CREATE INDEX IF NOT EXISTS audience_names ON audiences (platform, name);
CREATE TABLE IF NOT EXISTS rows (
  ordinal INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE, person INTEGER, hashes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS identifiers (
  identifier INTEGER NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (identifier, ordinal)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layers (audience INTEGER NOT NULL, added REAL NOT NULL, rows BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS audience_layers ON layers (audience, added);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
  account TEXT NOT NULL, id TEXT NOT NULL, audience_id TEXT NOT NULL, action TEXT NOT NULL,
  started REAL NOT NULL, updated REAL NOT NULL, finished INTEGER NOT NULL, received INTEGER NOT NULL,
  invalid INTEGER NOT NULL, matched INTEGER NOT NULL, sequences TEXT NOT NULL, last INTEGER,
  columns TEXT NOT NULL, failed INTEGER NOT NULL, PRIMARY KEY (account, id));
CREATE TABLE IF NOT EXISTS requests (
  id TEXT PRIMARY KEY, created REAL NOT NULL, ready_at REAL NOT NULL, statuses TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
  path TEXT PRIMARY KEY, account TEXT NOT NULL, calculate_type TEXT NOT NULL,
  unreadable INTEGER NOT NULL, rows BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS history (
  audience INTEGER NOT NULL, at REAL NOT NULL, visible_at REAL NOT NULL, action TEXT NOT NULL,
  detail TEXT NOT NULL, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_audiences ON history (audience);
CREATE TABLE IF NOT EXISTS criteria (
  resource TEXT PRIMARY KEY, customer TEXT NOT NULL, details TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, expires REAL NOT NULL);
"""


@dataclass(slots=True)
class Audience:
    """One audience of one platform; times are seconds since the epoch of sandbox time."""

    number: int
    platform: str
    account: str
    id: str
    name: str
    kind: str
    """``members`` for a customer file, ``lookalike`` for what a platform finds by itself."""
    created: float
    updated: float
    content_updated: float | None = None
    ready_at: float = 0.0
    """Until then the platform computes, and shows what held before."""
    shown: int = 0
    """Matched people before the change that is being computed."""
    size: int | None = None
    """Rows held; None when it must be counted anew. The same goes for the next two."""
    matched: int | None = None
    oldest: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    """What only its own platform knows."""


COLUMNS = tuple(Audience.__dataclass_fields__)


class State:
    """The one writer of the state file.

    Raises:
        RuntimeError: another sandbox has the file open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=2, check_same_thread=False)
        execute = self.connection.execute
        try:
            execute("PRAGMA locking_mode=EXCLUSIVE")
            execute("PRAGMA journal_mode=WAL")
            execute("PRAGMA synchronous=NORMAL")
            execute("PRAGMA temp_store=MEMORY")
            execute("PRAGMA cache_size=-131072")
            found = execute("PRAGMA user_version").fetchone()[0]
            if found == 0 and not execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                execute(f"PRAGMA user_version={VERSION}")
            elif found != VERSION:
                self.connection.close()
                raise RuntimeError(
                    f"the sandbox state {path} was written by another version: use a new folder or delete it"
                )
            self.connection.executescript(SCHEMA)
            execute("BEGIN IMMEDIATE")
            execute("COMMIT")
        except sqlite3.OperationalError as error:
            self.connection.close()
            raise RuntimeError(
                f"the sandbox state {path} cannot be opened ({error}): "
                "stop the other sandbox or use another folder"
            ) from error

    def close(self) -> None:
        """Release the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside takes effect together, or not at all when it raises."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A step inside a transaction that :class:`Undone` takes back without ending the transaction."""
        self.connection.execute("SAVEPOINT attempt")
        try:
            yield
        except Undone:
            self.connection.execute("ROLLBACK TO attempt")
        finally:
            self.connection.execute("RELEASE attempt")

    def setting(self, name: str, default: str) -> str:
        """A remembered value."""
        found = self.connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else default

    def remember(self, name: str, value: str) -> None:
        """Keep a value over restarts."""
        self.connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def next_number(self, name: str) -> int:
        """1, 2, 3 and so on, for ids."""
        number = int(self.setting(f"number:{name}", "0")) + 1
        self.remember(f"number:{name}", str(number))
        return number

    def insert(self, audience: Audience) -> None:
        """Store a new audience."""
        marks = ", ".join("?" * len(COLUMNS))
        self.connection.execute(f"INSERT INTO audiences VALUES ({marks})", self._values(audience))

    def save(self, audience: Audience) -> None:
        """Store what has changed on an audience."""
        assignments = ", ".join(f"{column} = ?" for column in COLUMNS)
        self.connection.execute(
            f"UPDATE audiences SET {assignments} WHERE number = ?", (*self._values(audience), audience.number)
        )

    def delete(self, audience: Audience) -> None:
        """Forget an audience and its members."""
        for table in ("layers", "history"):
            self.connection.execute(f"DELETE FROM {table} WHERE audience = ?", (audience.number,))
        self.connection.execute("DELETE FROM audiences WHERE number = ?", (audience.number,))

    def audience(self, platform: str, audience_id: str) -> Audience | None:
        """The audience of that id, if it exists."""
        found = self.audiences(platform, "id = ?", audience_id)
        return found[0] if found else None

    def in_account(self, platform: str, account: str, kind: str | None = None) -> list[Audience]:
        """The audiences of an account, oldest first."""
        if kind is None:
            return self.audiences(platform, "account = ?", account)
        return self.audiences(platform, "account = ? AND kind = ?", account, kind)

    def count(self, platform: str, account: str, kind: str | None = None) -> int:
        """How many audiences an account holds."""
        query = (
            "SELECT count(*) FROM audiences WHERE platform = ? AND account = ? AND (kind = ? OR ? IS NULL)"
        )
        return int(self.connection.execute(query, (platform, account, kind, kind)).fetchone()[0])

    def named(self, platform: str, name: str, account: str | None = None) -> list[Audience]:
        """The audiences of that name, oldest first; of one account or of all."""
        if account is None:
            return self.audiences(platform, "name = ?", name)
        return self.audiences(platform, "name = ? AND account = ?", name, account)

    def bitmap(self, name: str) -> BitMap:
        """A remembered set of rows."""
        found = self.connection.execute("SELECT rows FROM marks WHERE name = ?", (name,)).fetchone()
        return BitMap.deserialize(found[0]) if found else BitMap()

    def remember_bitmap(self, name: str, rows: BitMap) -> None:
        """Keep a set of rows over restarts."""
        self.connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, rows.serialize()))

    def audiences(self, platform: str, condition: str = "1 = 1", *values: str) -> list[Audience]:
        """The audiences of a platform under a condition, oldest first."""
        query = (
            f"SELECT {', '.join(COLUMNS)} FROM audiences WHERE platform = ? AND {condition} ORDER BY number"
        )
        rows = self.connection.execute(query, (platform, *values)).fetchall()
        return [Audience(*(*row[:-1], json.loads(row[-1]))) for row in rows]

    @staticmethod
    def _values(audience: Audience) -> tuple[Any, ...]:
        values = [getattr(audience, column) for column in COLUMNS[:-1]]
        return (*values, json.dumps(audience.details))


class Undone(Exception):  # noqa: N818 (a decision, not a fault)
    """Take back what :meth:`State.attempt` encloses."""
