"""Mobile advertising ids: the form, and the placeholders that phones give out when tracking is off."""

from __future__ import annotations

import re

import polars as pl

from audience_pipeline.identifiers.text import BLANKS, INVISIBLE, clean

# Read by Python's `re` and by polars.
_FORM = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_REPEATED = "|".join(f"[{digit}{digit.upper()}-]*" for digit in "0123456789abcdef")
"""All zeros, as phones say it, and any other digit alone."""

_form = re.compile(_FORM)
_repeated = re.compile(_REPEATED)


def device_id(value: str) -> str | None:
    """The id as it is written; None when it is none, or a placeholder of one digit."""
    text = clean(value)
    return text if _form.fullmatch(text) and not _repeated.fullmatch(text) else None


def device_id_expr(column: str) -> pl.Expr:
    """A column (String) of ids in lower case, null where :func:`device_id` refuses."""
    text = pl.col(column).str.replace_all(f"[{INVISIBLE}]", "").str.strip_chars(BLANKS)
    usable = text.str.contains(f"^(?:{_FORM})$") & ~text.str.contains(f"^(?:{_REPEATED})$")
    return pl.when(usable).then(text.str.to_lowercase()).alias(column)
