"""Who is sent as what: customers as one platform wants them, with a fingerprint of what is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import TypeAlias

import polars as pl

from audience_pipeline.platforms.contract import CAPABILITIES, Capabilities, Member, Platform


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person to be sent. The fingerprint changes when what is sent changes."""

    member: Member
    fingerprint: str = field(repr=False)


Wanted: TypeAlias = Mapping[str, Recipient]
"""Customer to what is sent of them: exactly the people whom an audience should hold."""


def fingerprint(identifiers: Mapping[str, str]) -> str:
    """32 hex digits that stand for what is sent: equal for equal identifiers, whatever their order."""
    text = "\x1e".join(f"{column}\x1f{identifiers[column]}" for column in sorted(identifiers))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def members_for(
    platform: Platform, eligible: Iterable[str], identifiers: pl.DataFrame
) -> dict[str, Recipient]:
    """What is sent of each eligible customer; those whom the platform cannot be told of are left out.

    Args:
        platform: where they are sent; its ``Capabilities`` say which columns.
        eligible: customer ids that may be sent (``audiences.eligibility`` decides).
        identifiers: the ``identifiers`` table as of the day: ``customer_id`` once each, hashes as Binary,
            ``country`` and ``postal_code`` as String.

    Returns:
        Customer id to recipient, by customer id.

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
    chosen = pl.DataFrame({"customer_id": pl.Series(list(eligible), dtype=pl.String)}).unique()
    table = (
        identifiers.join(chosen, on="customer_id", how="semi")
        .select("customer_id", *(_on_the_wire(identifiers, column) for column in capabilities.identifiers))
        .filter(pl.any_horizontal(_complete(group) for group in capabilities.reachable_by))
        .with_columns(_only_where_useful(capabilities))
        .sort("customer_id")
    )
    columns = capabilities.identifiers
    recipients = {}
    for customer_id, *values in table.iter_rows():
        sent = {column: value for column, value in zip(columns, values, strict=True) if value is not None}
        recipients[customer_id] = Recipient(Member(customer_id, sent), fingerprint(sent))
    return recipients


def remote_name(prefix: str, audience: str, length: int) -> str:
    """The name of an audience on a platform; a long one is cut and told apart by a digest."""
    name = f"{prefix}{audience}"
    if len(name) <= length:
        return name
    return f"{name[: length - 9]}-{sha256(name.encode()).hexdigest()[:8]}"


def _on_the_wire(table: pl.DataFrame, column: str) -> pl.Expr:
    if table.schema[column] == pl.Binary:
        return pl.col(column).bin.encode("hex")
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
