"""Who the platforms know: people found by any of their identifiers, hashed as each platform says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

COLUMNS = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "country",
    "postal_code",
    "on_meta",
    "on_google",
    "on_tiktok",
)
NAME = "id"


class Kind(IntEnum):
    """What an uploaded value is; from ``AS_SENT_PLAIN`` on it came unhashed."""

    EMAIL = 1
    PHONE = 2
    PHONE_WITH_PLUS = 3
    DEVICE = 4
    ADDRESS = 5
    FIRST_NAME = 10
    LAST_NAME = 11
    FIRST_INITIAL = 12
    POSTAL_CODE = 13
    COUNTRY = 14
    CITY = 15
    STATE = 16
    GENDER = 17
    BIRTH_YEAR = 18
    BIRTH_MONTH = 19
    BIRTH_DAY = 20
    AS_SENT_PLAIN = 30
    OWN_ID = 31
    PLAIN_DEVICE = 32
    PLAIN_POSTAL_CODE = 33
    PLAIN_COUNTRY = 34
    LIMITED = 40
    """No identifier: the row came under limited data use, and is kept without being matched."""


NAMING = frozenset(
    {Kind.EMAIL, Kind.PHONE, Kind.PHONE_WITH_PLUS, Kind.DEVICE, Kind.OWN_ID, Kind.PLAIN_DEVICE}
)
"""Kinds of which one alone names a person."""
MATCHED = (Kind.EMAIL, Kind.PHONE, Kind.PHONE_WITH_PLUS, Kind.ADDRESS)
"""Kinds by which a platform finds its people, the surest first."""

Entry = tuple[int, bytes]
"""A kind and the 32 bytes of a SHA-256."""


def sha256(text: str) -> bytes:
    """The digest of UTF-8 text."""
    return hashlib.sha256(text.encode()).digest()


def address(entries: Iterable[Entry]) -> bytes | None:
    """One digest for both names, postal code and country together; None unless all four are there."""
    known = dict(entries)
    wanted = (
        known.get(Kind.FIRST_NAME),
        known.get(Kind.LAST_NAME),
        known.get(Kind.POSTAL_CODE) or known.get(Kind.PLAIN_POSTAL_CODE),
        known.get(Kind.COUNTRY) or known.get(Kind.PLAIN_COUNTRY),
    )
    return hashlib.sha256(b"".join(part or b"" for part in wanted)).digest() if all(wanted) else None


class People(Protocol):
    """The users of the platforms."""

    def find(self, platform: str, rows: Sequence[Sequence[Entry]]) -> list[int | None]:
        """The person whom each row means on a platform, or None."""

    def in_countries(self, people: Sequence[int], countries: Sequence[str]) -> int:
        """How many of these people live in one of the countries."""

    def lives_in(self, person: int, countries: frozenset[str]) -> bool:
        """True when the person is known to live in one of the countries."""

    def name(self, person: int) -> str | int:
        """What to call a person for those who look inside."""

    def everybody(self, platform: str) -> list[str | int]:
        """What the people are called whom a platform knows."""


class ChancePeople:
    """Without a population: a platform knows a fixed share of all identifiers, chosen by their hash."""

    SHARES = {"meta": 0.6, "google": 0.5, "tiktok": 0.5}  # noqa: RUF012 (never changed)

    def find(self, platform: str, rows: Sequence[Sequence[Entry]]) -> list[int | None]:
        """See :class:`People`."""
        bar = int(self.SHARES[platform] * 256)
        found: list[int | None] = []
        for entries in rows:
            named = min((entry for entry in entries if entry[0] in MATCHED), default=None)
            known = named is not None and named[1][-1] < bar
            found.append(int.from_bytes(named[1][:7], "big") if known and named else None)
        return found

    def in_countries(self, people: Sequence[int], countries: Sequence[str]) -> int:
        """Nothing is known of countries: everybody counts."""
        return len(people) if countries else 0

    def lives_in(self, person: int, countries: frozenset[str]) -> bool:  # noqa: ARG002
        """Nothing is known of countries."""
        return False

    def name(self, person: int) -> str | int:
        """The number that stands for the surest identifier."""
        return person

    def everybody(self, platform: str) -> list[str | int]:  # noqa: ARG002
        """Nobody can be told before being sent."""
        return []


_WHITE = r"[\s\u00a0\u200b\u200c\u200d\u2060\ufeff]+"
_LOCAL, _DOMAIN = r"^(.*)@[^@]*$", r"@([^@]*)$"


def _email(platform: str) -> pl.Expr:
    email = pl.col("email").str.replace_all(_WHITE, "").str.to_lowercase()
    local, domain = email.str.extract(_LOCAL), email.str.extract(_DOMAIN)
    cut = local.str.replace(r"\+.*$", "")
    if platform == "meta":
        return email
    if platform == "tiktok":
        return cut + "@" + domain
    reduced = cut.str.replace_all(".", "", literal=True) + "@" + domain
    return pl.when(domain.is_in(["gmail.com", "googlemail.com"])).then(reduced).otherwise(email)


def _phone(kind: Kind, platform: str) -> pl.Expr:
    digits = pl.col("phone").str.replace_all(r"\D", "").str.strip_chars_start("0")
    with_plus = kind is Kind.PHONE_WITH_PLUS or platform == "google"
    return pl.when(digits != "").then(pl.lit("+") + digits if with_plus else digits)


def _address(platform: str) -> list[pl.Expr]:
    names = [pl.col(name).str.normalize("NFC").str.to_lowercase() for name in ("first_name", "last_name")]
    country, postal_code = pl.col("country").str.strip_chars(), pl.col("postal_code").str.strip_chars()
    if platform == "google":
        return [*(name.str.strip_chars() for name in names), postal_code, country.str.to_uppercase()]
    compact = postal_code.str.replace_all(_WHITE, "").str.to_lowercase()
    compact = pl.when(country.str.to_uppercase() == "US").then(compact.str.slice(0, 5)).otherwise(compact)
    letters = (name.str.replace_all(r"[^\p{L}\p{M}\p{N}]", "") for name in names)
    return [*letters, compact, country.str.to_lowercase()]


Index = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]


def _prefixes(digests: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of each digest: people are few enough for them to be unique."""
    return np.frombuffer(b"".join(digest[:8] for digest in digests), dtype=">u8").astype(np.uint64)


class Population:
    """People from a Parquet file with the columns :data:`COLUMNS`; a person is a row number.

    A further column ``id`` names them for those who look inside.

    Raises:
        ValueError: a column is missing.
    """

    def __init__(self, path: Path) -> None:
        columns = pl.read_parquet_schema(path)
        missing = sorted(set(COLUMNS) - set(columns))
        if missing:
            raise ValueError(f"the population {path.name} lacks the column(s) {', '.join(missing)}")
        self._table = pl.read_parquet(path, columns=list(COLUMNS))
        self._names: list[str | int] | None = None
        if NAME in columns:
            self._names = pl.read_parquet(path, columns=[NAME])[NAME].to_list()
        self._countries: npt.NDArray[np.str_] = (
            self._table["country"].fill_null("").str.to_uppercase().to_numpy().astype(str)
        )
        self._indexes: dict[tuple[str, Kind], Index] = {}

    def find(self, platform: str, rows: Sequence[Sequence[Entry]]) -> list[int | None]:
        """See :class:`People`. The surest identifier decides; of several people who share it, the first."""
        found: list[int | None] = [None] * len(rows)
        for kind in MATCHED:
            places, digests = [], []
            for place, entries in enumerate(rows):
                if found[place] is None:
                    for entry_kind, digest in entries:
                        if entry_kind == kind:
                            places.append(place)
                            digests.append(digest)
            if not digests:
                continue
            keys, persons = self._index(platform, kind)
            if not len(keys):
                continue
            wanted = _prefixes(digests)
            where = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            hits = keys[where] == wanted
            for place, hit, person in zip(places, hits.tolist(), persons[where].tolist(), strict=True):
                if hit and found[place] is None:
                    found[place] = person
        return found

    def in_countries(self, people: Sequence[int], countries: Sequence[str]) -> int:
        """See :class:`People`."""
        return int(np.isin(self._countries[np.asarray(people, dtype=np.int64)], list(countries)).sum())

    def lives_in(self, person: int, countries: frozenset[str]) -> bool:
        """See :class:`People`."""
        return str(self._countries[person]) in countries

    def name(self, person: int) -> str | int:
        """The ``id`` of the file, or the number of the row in a file without."""
        return person if self._names is None else self._names[person]

    def everybody(self, platform: str) -> list[str | int]:
        """See :class:`People`."""
        return [self.name(person) for person in self._table[f"on_{platform}"].arg_true().to_list()]

    def _index(self, platform: str, kind: Kind) -> Index:
        if (platform, kind) not in self._indexes:
            self._indexes[platform, kind] = self._build(platform, kind)
        return self._indexes[platform, kind]

    def _build(self, platform: str, kind: Kind) -> Index:
        if kind is Kind.ADDRESS:
            parts = _address(platform)
        else:
            parts = [_email(platform) if kind is Kind.EMAIL else _phone(kind, platform)]
        values = (
            self._table.with_row_index("person")
            .filter(pl.col(f"on_{platform}"))
            .select("person", *(part.alias(f"part{number}") for number, part in enumerate(parts)))
            .drop_nulls()
        )
        columns = [[sha256(text) for text in values[name].to_list()] for name in values.columns[1:]]
        digests = (
            columns[0]
            if len(columns) == 1
            else [hashlib.sha256(b"".join(row)).digest() for row in zip(*columns, strict=True)]
        )
        keys, persons = _prefixes(digests), values["person"].to_numpy().astype(np.int64)
        order = np.argsort(keys, kind="stable")
        return keys[order], persons[order]


def load(population: Path | None) -> People:
    """The people of a file, or people by chance without one."""
    return ChancePeople() if population is None else Population(population)
