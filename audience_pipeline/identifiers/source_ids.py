"""Source ids: how a record names its person before identity resolution, whatever the record has.

The shop's own ``customer_id`` stands as it is. A record without one is named by the best of what it has,
with a prefix: a loyalty card, an e-mail hash, a phone hash, a browser.
"""

from __future__ import annotations

import polars as pl

LOYALTY, EMAIL, PHONE, ANONYMOUS = "loyalty:", "email:", "phone:", "anonymous:"
PREFIXES = (LOYALTY, EMAIL, PHONE, ANONYMOUS)
"""From the best name of a person to the weakest."""
SHOP = "id:"
"""Put before a shop's own id that begins with one of ``PREFIXES``, so that it is not taken for another."""
HASH_CHARACTERS = 32
"""Hex characters of a hash that stand in a source id: half of a SHA-256."""


def own_id(column: str) -> pl.Expr:
    """The shop's own ids (String) such that none can be taken for a prefixed one."""
    ids = pl.col(column)
    clashes = ids.str.contains(f"^(?:{'|'.join((*PREFIXES, SHOP))})")
    return pl.when(clashes).then(pl.lit(SHOP) + ids).otherwise(ids).alias(column)


def own(customer_id: str) -> str:
    """:func:`own_id` of one id."""
    return SHOP + customer_id if customer_id.startswith((*PREFIXES, SHOP)) else customer_id


def prefixed(prefix: str, column: str) -> pl.Expr:
    """Source ids of a text column; null where there is no value."""
    return pl.lit(prefix) + pl.col(column)


def hashed_id(prefix: str, column: str) -> pl.Expr:
    """Source ids of a column of hashes (Binary, 32 bytes); null where there is none."""
    return pl.lit(prefix) + pl.col(column).bin.encode("hex").str.slice(0, HASH_CHARACTERS)


def is_own(column: str) -> pl.Expr:
    """Whether a source id is the shop's own id of a customer."""
    return ~pl.any_horizontal(pl.col(column).str.starts_with(prefix) for prefix in PREFIXES)
