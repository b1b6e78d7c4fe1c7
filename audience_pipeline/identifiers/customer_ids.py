"""Customer ids that are personal themselves: an e-mail address or phone number used as an id."""

from __future__ import annotations

import re
from urllib.parse import unquote

import polars as pl

from audience_pipeline.identifiers.text import BLANKS, INVISIBLE, clean, digest

# Read by Python's `re` and by polars: no look-around, explicit classes, anchored by the caller.
_SPACE = f"[{BLANKS}{INVISIBLE}]"
_SIGN = rf"[{BLANKS}{INVISIBLE}().\-/\u2010-\u2015\u2212]"
_DIGIT = rf"(?:{_SIGN}*[0-9])"
_ENCODED_AT, _ENCODED_PLUS = "%(?:25)*40", "%(?:25)*2[Bb]"
_EMAIL = rf"(?s:.*)[^@{BLANKS}]{_SPACE}*(?:[@\uff20]|{_ENCODED_AT}){_SPACE}*[^@{BLANKS}](?s:.*)"
_INTERNATIONAL = rf"{_SIGN}*(?:[+\uff0b]|{_ENCODED_PLUS}){_DIGIT}{{7,16}}{_SIGN}*"
_DIALLED = rf"{_SIGN}*0{_SIGN}*0{_SIGN}*[1-9]{_DIGIT}{{7,14}}{_SIGN}*"
_NATIONAL = rf"{_SIGN}*0{_SIGN}*[1-9]{_DIGIT}{{8,13}}{_SIGN}*"
_SEPARATED = rf"{_SPACE}*(?:[(]{_SIGN}*[0-9]|[0-9]{_DIGIT}*{_SIGN}+[0-9]){_DIGIT}*{_SIGN}*"
_TEN_DIGITS = rf"{_DIGIT}{{10,15}}{_SIGN}*"
_ALWAYS = f"(?:{_EMAIL})|(?:{_INTERNATIONAL})|(?:{_DIALLED})|(?:{_NATIONAL})"

_encoded = re.compile(f"{_ENCODED_AT}|{_ENCODED_PLUS}")
_always = re.compile(_ALWAYS)
_separated = re.compile(_SEPARATED)
_ten_digits = re.compile(_TEN_DIGITS)


def looks_personal(customer_id: str) -> bool:
    """Whether an id looks like an e-mail address or a phone number.

    A phone number is international (``+``, ``00``), national (``0`` and ten or more digits) or has ten to
    fifteen digits with separators or brackets between them. A plain run of digits is an id. An ``@`` or
    ``+`` that is percent-encoded, as in the address of a page, is one all the same.
    """
    if _always.fullmatch(customer_id) is not None:
        return True
    return _separated.fullmatch(customer_id) is not None and _ten_digits.fullmatch(customer_id) is not None


def pseudonym(customer_id: str) -> str:
    """``h_`` and the SHA-256 in hex of the trimmed, lower-cased id: the same person stays the same."""
    while _encoded.search(customer_id) is not None:
        customer_id = unquote(customer_id)
    return f"h_{digest(clean(customer_id).lower()).hex()}"


def customer_id_expr(column: str) -> pl.Expr:
    """The column of customer ids (String) with personal-looking ones replaced by their pseudonym."""
    return pl.col(column).map_batches(_without_personal, return_dtype=pl.String, is_elementwise=True)


def _without_personal(ids: pl.Series) -> pl.Series:
    matches = ids.str.contains
    personal = matches(f"^(?:{_ALWAYS})$") | (
        matches(f"^(?:{_SEPARATED})$") & matches(f"^(?:{_TEN_DIGITS})$")
    )
    if not personal.any():
        return ids
    pseudonyms = {value: pseudonym(value) for value in ids.filter(personal.fill_null(value=False)).unique()}
    frame = pl.DataFrame({"id": ids, "personal": personal.fill_null(value=False)})
    replaced = pl.col("id").replace(list(pseudonyms), list(pseudonyms.values()))
    return frame.select(pl.when("personal").then(replaced).otherwise("id").alias(ids.name)).to_series()
