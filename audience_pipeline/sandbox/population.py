"""The people whom the sandbox platforms know: one Parquet file, one row a person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

POPULATION = {
    "email": pl.String,
    "phone": pl.String,
    "first_name": pl.String,
    "last_name": pl.String,
    "country": pl.String,
    "postal_code": pl.String,
    "on_meta": pl.Boolean,
    "on_google": pl.Boolean,
    "on_tiktok": pl.Boolean,
}
"""Columns of the file. E-mail addresses and phone numbers (E.164) are unique; a person has at least one."""

PHONE_KNOWN = 0.75
"""Share of people whose phone number the platforms know."""


def population(
    people: pl.DataFrame,
    uniform: npt.NDArray[np.float64],
    *,
    meta: float,
    google: float,
    tiktok: float,
    keep: tuple[str, ...] = (),
) -> pl.DataFrame:
    """The people as the platforms know them.

    Args:
        people: ``email, phone, first_name, last_name, country, postal_code``; null where there is none.
        uniform: (n, 4) uniform draws: one for each platform, one for the phone number.
        meta: share of people whom Meta knows.
        google: share of people whom Google knows.
        tiktok: share of people whom TikTok knows.
        keep: further columns of ``people`` to put in front.

    Returns:
        Columns of ``POPULATION``; people without e-mail address and phone number are left out.
    """
    known = pl.Series(uniform[:, 3] < PHONE_KNOWN)
    return (
        people.with_columns(
            phone=pl.when(known | pl.col("email").is_null()).then("phone"),
            on_meta=pl.Series(uniform[:, 0] < meta),
            on_google=pl.Series(uniform[:, 1] < google),
            on_tiktok=pl.Series(uniform[:, 2] < tiktok),
        )
        .filter(pl.col("email").is_not_null() | pl.col("phone").is_not_null())
        .select(*keep, *(pl.col(name).cast(kind) for name, kind in POPULATION.items()))
    )
