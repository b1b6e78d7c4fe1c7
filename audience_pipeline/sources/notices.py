"""What a person should know about a file that landed: sentences with counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from audience_pipeline.identifiers.source_ids import EMAIL, LOYALTY, PHONE
from audience_pipeline.sources.amounts import MINOR_DIGITS
from audience_pipeline.sources.contract import CONTRACTS, LANDED, Kind
from audience_pipeline.sources.engine import one, parquet
from audience_pipeline.sources.kept import HASHED_FOR, safe_name
from audience_pipeline.sources.options import ReadOptions
from audience_pipeline.sources.report import LandingReport
from audience_pipeline.sources.staging import Staged


def notices(
    connection: Any,
    report: LandingReport,
    staged: Staged,
    options: ReadOptions,
    good: str,
    new: str,
    earlier: Sequence[Path],
) -> Iterator[str]:
    """The notices of a landing, most pressing first.

    Args:
        connection: a DuckDB connection.
        report: the counts.
        staged: the staged file.
        options: how it was read.
        good: SQL of the staged rows that can be used.
        new: SQL of the landed rows.
        earlier: landed files with rows of the same customers, as far as they were compared.
    """
    unusable = report.quarantined - report.erased
    if 2 * unusable > report.rows_read:
        yield (
            f"MORE THAN HALF OF THE FILE IS IN QUARANTINE ({unusable:,} of {report.rows_read:,} "
            "rows): check the reasons before using what landed"
        )
    if report.erased:
        yield f"{_count(report.erased, 'row')} of people who were erased: left out, they do not come back"
    if report.repeated_days:
        days = [each.day.isoformat() for each in report.repeated_days]
        span = days[0] if len(days) == 1 else f"{len(days)} days ({days[0]} to {days[-1]})"
        yield (
            f"{span} repeated as a whole: {report.repeated:,} lines were left out, so that each counts once"
        )
    yield from _lost(connection, report.kind, staged, new)
    yield from _named(connection, report.kind, new)
    for column in options.keep:
        if column not in staged.table.columns.values():
            yield f"the file has no {safe_name(column)}, which is to be kept: it is lost for its rows"
    if report.kind is Kind.TRANSACTIONS:
        yield from _money(connection, staged, new, earlier)
    yield from _flagged(connection, staged, good)
    cleaned = staged.cleaned
    for column, unusable in sorted(cleaned.unusable.items()):
        if unusable:
            given = cleaned.given[column]
            why = _why(column, cleaned.hash_like[column], options)
            yield f"{column}: {unusable:,} of {_count(given, 'value')} cannot be used, left out{why}"
    for column, removed in sorted(cleaned.removed.items()):
        if removed:
            are = "value is" if removed == 1 else "values are"
            yield f"{column}: {removed:,} {are} or could be an e-mail address or phone number, left out"


def _lost(connection: Any, kind: Kind, staged: Staged, new: str) -> Iterator[str]:
    for column, what in (CONTRACTS[kind].lost or {}).items():
        if column not in staged.table.columns:
            yield f"the file has no {column}: {what} are lost for its rows"
        elif column in LANDED[kind]:
            rows, given = one(connection, f"SELECT count(*), count({column}) FROM {new}")
            if rows and not given:
                yield f"{column} is empty in every row: {what} are lost for them"


def _named(connection: Any, kind: Kind, new: str) -> Iterator[str]:
    """How people are known whom the shop gives no id."""
    if "customer_id" not in CONTRACTS[kind].required:
        return
    named = {
        name: f"count(*) FILTER (starts_with(customer_id, '{prefix}'))"
        for name, prefix in (("loyalty_id", LOYALTY), ("email", EMAIL), ("phone", PHONE))
        if name in CONTRACTS[kind].instead
    }
    rows = dict(zip(named, one(connection, f"SELECT {', '.join(named.values())} FROM {new}"), strict=True))
    if any(rows.values()):
        parts = ", ".join(f"{name} {count:,}" for name, count in rows.items() if count)
        yield f"{_count(sum(rows.values()), 'row')} without customer_id, known by another name ({parts})"


def _why(column: str, hash_like: int, options: ReadOptions) -> str:
    if column in options.hashed:
        return ": hashed says that it holds SHA-256 in hex, and these are none"
    if hash_like and column in HASHED_FOR:
        return (
            f" ({hash_like:,} look hashed: say for which platforms with hashed: {{{column}: [meta]}}, "
            f"--hashed {column}=meta)"
        )
    return ""


def _money(connection: Any, staged: Staged, new: str, earlier: Sequence[Path]) -> Iterator[str]:
    if staged.money.foreign:
        codes = ", ".join(staged.money.foreign)
        yield f"amounts in {codes} were converted to {staged.money.currency} at the rate of their day"
    zero = one(connection, f"SELECT count(*) FROM {new} WHERE amount_minor = 0")[0]
    if zero:
        yield f"{_count(zero, 'amount')} of zero: kept, and no order"
    everything = new
    if earlier:
        everything = f"(SELECT * FROM {new} UNION ALL BY NAME SELECT * FROM {parquet(*earlier)})"
    (early,) = one(
        connection,
        f"SELECT count(*) FROM {new} n LEFT JOIN (SELECT customer_id, min(transaction_date) AS first "
        f"FROM {everything} WHERE amount_minor > 0 GROUP BY 1) o USING (customer_id) "
        "WHERE n.amount_minor < 0 AND (o.first IS NULL OR n.transaction_date < o.first)",
    )
    if early:
        yield (
            f"{_count(early, 'return')} before the first order of the customer (of something bought before "
            "the data begins): kept, and used for nothing"
        )


def _flagged(connection: Any, staged: Staged, good: str) -> Iterator[str]:
    sentences = {
        "rounded": ("amount", f"with more than {MINOR_DIGITS} decimals, rounded half away from zero"),
        "quantity": ("quantity", "that is no number, left out"),
        "discount": ("discount", "other than an amount of 0 or more, left out"),
        "gpc": ("gpc value", "other than true, false, 1, 0, yes and no, left out"),
        "birth_date": ("birth_date", "without a year of four digits, left out"),
    }
    for flag in staged.plan.flags:
        (rows,) = one(connection, f"SELECT count(*) FROM ({good}) WHERE flag_{flag}")
        if rows:
            what, why = sentences[flag]
            yield f"{_count(rows, what)} {why}"


def _count(number: int, what: str) -> str:
    plural = (
        what
        if number == 1
        else f"{what.removesuffix('y')}ies"
        if what.endswith("y")
        else f"{what}es"
        if what.endswith("s")
        else f"{what}s"
    )
    return f"{number:,} {plural}"
