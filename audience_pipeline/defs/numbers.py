"""The number of every person, kept for good: what stored memberships are made of."""

import secrets
from pathlib import Path

import polars as pl
from filelock import FileLock

from audience_pipeline.customers.numbers import NUMBERS_SCHEMA, newly_numbered
from audience_pipeline.defs.storage import write_table

NUMBERING = "numbering"
"""Key in the metadata of the file: a random name of this numbering, kept as long as the file is."""
FILE = "customer_numbers.parquet"


def customer_numbers(lake: Path, person_keys: pl.Series) -> pl.DataFrame:
    """The numbers of people; who has none gets the next one, and nobody ever gets another's.

    Safe for several runs at once: one after the other appends, and the file is written whole, then renamed.

    Args:
        lake: the folder of the tables.
        person_keys: whose numbers are wanted.

    Returns:
        ``person_key, customer_no`` of these people, each once, in the order of the numbers.
    """
    path = lake / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{FILE}.lock")):
        known = pl.read_parquet(path) if path.is_file() else pl.DataFrame(schema=NUMBERS_SCHEMA)
        new = newly_numbered(known, person_keys)
        if new.height or not path.is_file():
            name = _numbering(path) or secrets.token_hex(16)
            known = pl.concat([known, new])
            write_table(path, known, said={NUMBERING: name})
    wanted = pl.DataFrame({"person_key": person_keys}, schema={"person_key": pl.String})
    return known.join(wanted, on="person_key", how="semi", maintain_order="left")


def numbering_of(lake: Path, people: pl.DataFrame) -> str | None:
    """Which numbering the numbers of people belong to; None where they are not those of the workspace.

    Args:
        lake: the folder of the tables.
        people: ``person_key, customer_no``.
    """
    path = lake / FILE
    if not path.is_file():
        return None
    known = pl.scan_parquet(path)
    same = people.lazy().join(known, on=["person_key", "customer_no"], how="semi").select(pl.len())
    return numbering(lake) if same.collect().item() == people.height else None


def numbering(lake: Path) -> str:
    """Which numbering the workspace has; empty before the first number.

    Somebody who deletes the file starts another one, and what was stored with the numbers of the old one
    cannot be read with those of the new one.
    """
    return _numbering(lake / FILE)


def _numbering(path: Path) -> str:
    return str(pl.read_parquet_metadata(path).get(NUMBERING, "")) if path.is_file() else ""
