"""Who is sent as what: people as one platform wants them, with a fingerprint of what is sent. Columnar.

A frame of RECIPIENTS has ``customer_id`` (once each, sorted), ``fingerprint: UInt64``, and the columns of
``Capabilities.identifiers`` in their order: hashes as Binary, country and postal code as String, null where
somebody has none. A frame of PEOPLE has the first two columns alone.
"""

from __future__ import annotations

from hashlib import sha256

import polars as pl

from audience_pipeline.ledger.fingerprints import PEOPLE, PEOPLE_SCHEMA, fingerprints, keys, near
from audience_pipeline.platforms.contract import CAPABILITIES, Capabilities, Member, Platform

__all__ = [
    "PEOPLE",
    "PEOPLE_SCHEMA",
    "fingerprints",
    "keys",
    "members",
    "near",
    "recipients",
    "remote_name",
]


def recipients(platform: Platform, identifiers: pl.DataFrame) -> pl.DataFrame:
    """Everybody whom a platform can be told of, as they are sent there.

    Args:
        platform: where they are sent; its ``Capabilities`` say which columns.
        identifiers: the ``identifiers`` table as of the day: ``customer_id`` once each, hashes as Binary,
            ``country`` and ``postal_code`` as String.

    Returns:
        RECIPIENTS.

    Raises:
        ValueError: a column that the platform needs is missing from the table.
    """
    capabilities = CAPABILITIES[platform]
    missing = [column for column in capabilities.identifiers if column not in identifiers.columns]
    if missing:
        raise ValueError(
            f"The identifiers table has no column {', '.join(missing)}, which {platform.value} needs: "
            "land the contacts again with this version."
        )
    table = (
        identifiers.select("customer_id", *(_value(identifiers, name) for name in capabilities.identifiers))
        .filter(pl.any_horizontal(_complete(group) for group in capabilities.reachable_by))
        .with_columns(_only_where_useful(capabilities))
        .sort("customer_id")
    )
    return table.insert_column(1, fingerprints(table, capabilities.identifiers))


def members(frame: pl.DataFrame, capabilities: Capabilities) -> list[Member]:
    """People as clients send them, in the order of the frame: hashes in hex, what is missing left out."""
    columns = capabilities.identifiers
    wire = frame.select(
        "customer_id",
        *(
            pl.col(name).bin.encode("hex") if frame.schema[name] == pl.Binary else pl.col(name)
            for name in columns
        ),
    )
    return [
        Member(
            customer, {name: value for name, value in zip(columns, values, strict=True) if value is not None}
        )
        for customer, *values in wire.iter_rows()
    ]


def remote_name(prefix: str, audience: str, length: int) -> str:
    """The name of an audience on a platform; a long one is cut and told apart by a digest."""
    name = f"{prefix}{audience}"
    if len(name) <= length:
        return name
    return f"{name[: length - 9]}-{sha256(name.encode()).hexdigest()[:8]}"


def _value(table: pl.DataFrame, column: str) -> pl.Expr:
    if table.schema[column] == pl.Binary:
        return pl.col(column)
    text = pl.col(column).cast(pl.String)
    return pl.when(text != "").then(text).alias(column)


def _complete(group: tuple[str, ...]) -> pl.Expr:
    return pl.all_horizontal(pl.col(column).is_not_null() for column in group)


def _only_where_useful(capabilities: Capabilities) -> list[pl.Expr]:
    """A column that counts only together with others is not sent without them."""
    useful = []
    for column in capabilities.identifiers:
        groups = [group for group in capabilities.reachable_by if column in group]
        if groups and (column,) not in groups:
            useful.append(
                pl.when(pl.any_horizontal(_complete(group) for group in groups))
                .then(pl.col(column))
                .alias(column)
            )
    return useful
