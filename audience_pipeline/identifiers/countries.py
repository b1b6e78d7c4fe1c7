"""Countries: ISO 3166 codes from whatever a CRM calls them."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib import resources

from audience_pipeline.identifiers.text import clean, letters


def country_code(value: str) -> str | None:
    """ISO2 in upper case of a code (ISO2, ISO3) or a name in a common language; None when unknown."""
    text = clean(value)
    codes, names = _countries()
    if len(text) == 2:
        return names.get(text.lower()) or (text.upper() if text.upper() in codes else None)
    name = letters(text.casefold())
    return names.get(name) or names.get(name.removeprefix("the"))


def iso2(value: str) -> str | None:
    """ISO2 in upper case of an ISO2 code in any case; None for everything else."""
    text = clean(value)
    return country_code(text) if len(text) == 2 else None


@lru_cache(maxsize=1)
def _countries() -> tuple[frozenset[str], dict[str, str]]:
    """All ISO2 codes; and ISO2 by ISO3 code and name (casefolded letters)."""
    table = (
        resources.files("audience_pipeline.identifiers").joinpath("countries.csv").read_text(encoding="utf-8")
    )
    rows = list(csv.DictReader(table.splitlines()))
    names = {row["iso3"].casefold(): row["iso2"] for row in rows}
    for row in rows:
        names |= {letters(name.casefold()): row["iso2"] for name in row["names"].split("|")}
    return frozenset(row["iso2"] for row in rows), names
