"""Contacts and consent for customers of whom a file says nothing but what they bought.

All of it is invented and labelled so, and only the sandbox may see it: a customer's own transactions can
then be taken all the way to audiences before any real contact is at hand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.sandbox.population import population
from audience_pipeline.sandbox.shop.draws import pick, scramble
from audience_pipeline.sandbox.shop.frames import CONSENT, CRM
from audience_pipeline.sandbox.shop.names import COUNTRIES, split

DOMAIN = "invented.example"
"""Every invented e-mail address ends with it; no mail server can."""

SOURCE = "invented for the sandbox"
"""What consent statements name as their source."""

STATED_ON = date(1990, 1, 1)
"""When invented people said what they said: before any transaction, so that it holds as of every date."""

HAS_PHONE, GRANTS, DENIES = 0.6, 0.80, 0.08
ON_META, ON_GOOGLE, ON_TIKTOK = 0.7, 0.75, 0.45

_GERMANY = next(country for country in COUNTRIES if country.code == "DE")
_MOBILE = (
    "1511", "1512", "1514", "1515", "1516", "1517", "1520", "1521", "1522", "1523", "1525", "1526", "1570",
    "1573", "1575", "1577", "1578", "1579",
)  # fmt: skip
_FIRST, _LAST, _POSTAL, _PHONE, _HAS_PHONE, _CONSENT, _PLATFORMS = range(1, 8)


@dataclass(frozen=True, slots=True)
class InventedFiles:
    """Where the invented files are."""

    crm: Path
    consent: Path
    population: Path
    customers: int
    with_phone: int
    granted: int
    denied: int


def invent_contacts(
    customer_ids: pl.Series, directory: Path, seed: int, stated_on: date = STATED_ON
) -> InventedFiles:
    """Write ``invented_crm.csv``, ``invented_consent.csv`` and ``invented_population.parquet``.

    Everything about a customer follows from the seed and the customer's id alone: customers who come
    later change nothing about those who are there.

    Args:
        customer_ids: the ids as the transactions have them; repeats and nulls are dropped.
        directory: where to write; made if need be.
        seed: another seed invents other people.
        stated_on: day of the CRM rows and consent statements.
    """
    ids = customer_ids.cast(pl.String).drop_nulls().unique().sort()
    key = f"{seed}".encode()
    digests = b"".join(hashlib.blake2b(i.encode(), digest_size=8, key=key).digest() for i in ids.to_list())
    root = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    women, men, families = split(_GERMANY.women), split(_GERMANY.men), split(_GERMANY.families)
    first = women + men
    place = _below(root, _POSTAL, len(_GERMANY.places))
    has_phone = _uniform(root, _HAS_PHONE) < HAS_PHONE
    digits = pl.Series(_below(root, _PHONE, 10_000_000)).cast(pl.String).str.zfill(7)
    number = "+49" + pick(_MOBILE, _below(root, _PHONE + 8, len(_MOBILE))) + digits
    people = pl.DataFrame(
        {
            "customer_id": ids,
            "email": pl.Series([f"{value:016x}@{DOMAIN}" for value in root.tolist()], dtype=pl.String),
            "phone": pl.select(pl.when(pl.Series(has_phone)).then(number)).to_series(),
            "first_name": pick(first, _below(root, _FIRST, len(first))),
            "last_name": pick(families, _below(root, _LAST, len(families))),
            "country": pick([_GERMANY.code], np.zeros(len(ids), dtype=np.int64)),
            "postal_code": pick([code.replace("#", "1") for _, code, _ in _GERMANY.places], place),
            "city": pick([city for city, _, _ in _GERMANY.places], place),
        }
    )
    opinion = _uniform(root, _CONSENT)
    status = np.select([opinion < GRANTS, opinion < GRANTS + DENIES], [0, 1], 2)
    return _write(people, status, root, directory, stated_on)


def _write(
    people: pl.DataFrame,
    status: npt.NDArray[np.int64],
    root: npt.NDArray[np.uint64],
    directory: Path,
    stated_on: date,
) -> InventedFiles:
    """Write the three files; status is 0 for granted, 1 for denied, 2 for silence."""
    directory.mkdir(parents=True, exist_ok=True)
    moment = f"{stated_on} 00:00:00"
    nothing = pl.lit(None, dtype=pl.String)
    crm = people.with_columns(
        state=nothing, birth_date=nothing, gender=nothing, updated_at=pl.lit(moment)
    ).select(CRM)
    said = people.with_columns(pl.Series("status", pick(("granted", "denied", None), status))).drop_nulls(
        "status"
    )
    consent = (
        said.select("customer_id", "status")
        .join(pl.DataFrame({"purpose": ["advertising", "personalisation"]}), how="cross")
        .with_columns(
            event_at=pl.lit(moment),
            email=nothing,
            phone=nothing,
            platform=nothing,
            source=pl.lit(SOURCE),
            legal_basis=pl.lit("consent"),
        )
        .select(CONSENT)
    )
    uniform = np.column_stack([_uniform(root, _PLATFORMS + 8 * column) for column in range(2, 6)])
    known = population(people, uniform, meta=ON_META, google=ON_GOOGLE, tiktok=ON_TIKTOK)
    files = InventedFiles(
        crm=directory / "invented_crm.csv",
        consent=directory / "invented_consent.csv",
        population=directory / "invented_population.parquet",
        customers=len(people),
        with_phone=people["phone"].count(),
        granted=int((status == 0).sum()),
        denied=int((status == 1).sum()),
    )
    crm.write_csv(files.crm)
    consent.write_csv(files.consent)
    known.write_parquet(files.population)
    return files


def _below(root: npt.NDArray[np.uint64], salt: int, size: int) -> npt.NDArray[np.int64]:
    """A whole number below ``size`` for each customer."""
    return (scramble(root, salt) % np.uint64(size)).astype(np.int64)


def _uniform(root: npt.NDArray[np.uint64], salt: int) -> npt.NDArray[np.float64]:
    """A number from 0 to 1 for each customer."""
    return (scramble(root, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
