"""Dense numbers for people, so that sets of millions of them are small: bitmaps of numbers."""

from __future__ import annotations

import polars as pl

NUMBERS_SCHEMA = pl.Schema({"person_key": pl.String, "customer_no": pl.UInt32})


def newly_numbered(known: pl.DataFrame, person_keys: pl.Series) -> pl.DataFrame:
    """Numbers for those who have none yet: the next ones, in the order of their keys.

    Args:
        known: ``NUMBERS_SCHEMA``, everybody who ever got a number, in the order of the numbers from 0 on.
        person_keys: who needs a number; repeated keys count once.

    Returns:
        ``NUMBERS_SCHEMA`` of the new people alone, in the order of the numbers.
    """
    return (
        pl.DataFrame({"person_key": person_keys.drop_nulls()}, schema={"person_key": pl.String})
        .join(known, on="person_key", how="anti")
        .unique()
        .sort("person_key")
        .with_row_index("customer_no", offset=known.height)
        .select(NUMBERS_SCHEMA.names())
    )
