"""Amounts of money as integer minor units, read strictly and rounded half away from zero."""

from __future__ import annotations

from dataclasses import dataclass

from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ReadOptions
from audience_pipeline.sources.table import quoted

MINOR_DIGITS = 2
"""Amounts are kept in hundredths, in every currency: whoever reads them needs to know one scale only."""
_GROUPS = {" ": "[ \u00a0\u202f]", "'": "['\u2019]"}
LIMIT_MINOR = 10**14
"""A million million, in hundredths."""


@dataclass(frozen=True, slots=True)
class Amount:
    """SQL of one column of amounts: minor units (BIGINT), a fault, whether digits were rounded away."""

    minor: str
    fault: str
    rounded: str


def plain(column: str, options: ReadOptions) -> str:
    """SQL of the number as plain text with a point; null where the options do not fit it."""
    if options.decimal == "." and options.thousands is None:
        return column
    point, group = ("," if options.decimal == "," else r"\."), options.thousands
    if group is None:
        grouped, text = r"\d+", column
    else:
        separator = _GROUPS.get(group, "\\" + group)
        grouped = rf"(\d{{1,3}}({separator}\d{{3}})+|\d+)"
        text = f"regexp_replace({column}, {quoted(separator)}, '', 'g')"
    if options.decimal == ",":
        text = f"replace({text}, ',', '.')"
    pattern = rf"[-+]?({grouped}({point}\d*)?|{point}\d+)"
    return f"CASE WHEN regexp_full_match({column}, {quoted(pattern)}) THEN {text} END"


def amount(column: str, plain_text: str, parsed: str, options: ReadOptions) -> Amount:
    """How a column of amounts is read.

    Args:
        column: SQL name of the trimmed text, null where empty.
        plain_text: SQL name of :func:`plain` of it.
        parsed: SQL name under which the result of ``minor`` will be visible to the others.
        options: decimal and thousands separators.
    """
    fault = (
        f"CASE WHEN {column} IS NULL THEN {Fault.EMPTY} "
        f"WHEN {parsed} BETWEEN -{LIMIT_MINOR} AND {LIMIT_MINOR} THEN {Fault.NONE} "
        f"WHEN {parsed} IS NOT NULL THEN {Fault.TOO_LARGE} ELSE {_fault(column, options)} END"
    )
    point = f"strpos({plain_text}, '.')"
    rounded = f"{point} > 0 AND length(rtrim({plain_text}, '0')) - {point} > {MINOR_DIGITS}"
    return Amount(_minor(plain_text), fault, rounded)


def _minor(text: str) -> str:
    # The cast also takes 1_000 for a number; an underscore is no way to write money.
    decimal = f"try_cast({text} AS DECIMAL(18, {MINOR_DIGITS}))"
    # From a hundred million million on the product overflows, which would end the whole file.
    return f"CASE WHEN strpos({text}, '_') = 0 THEN TRY(CAST({decimal} * {10**MINOR_DIGITS} AS BIGINT)) END"


def fault_patterns(options: ReadOptions) -> list[tuple[str, Fault]]:
    """What is wrong with a text that is no amount: the first pattern that fits the whole of it says so.

    DuckDB and Python (``re.ASCII``) read them alike.
    """
    rules = [
        (r"(?i)[-+]?(nan|inf(inity)?|n/a|na|null|none)", Fault.NOT_FINITE),
        (r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", Fault.TOO_LARGE),
    ]
    if options.decimal == "." and options.thousands is None:
        rules += [
            (r"[-+]?\d{1,3}(,\d{3})+\.\d*", Fault.COMMA_THOUSANDS),
            (r"[-+]?\d{1,3}(,\d{3}){2,}", Fault.COMMA_THOUSANDS),
            (r"[-+]?\d{1,3}(\.\d{3})+,\d+", Fault.POINT_THOUSANDS),
            (r"[-+]?\d{1,3}(\.\d{3}){2,}", Fault.POINT_THOUSANDS),
            (r"[-+]?\d{1,3},\d{3}", Fault.UNCLEAR_COMMA),
            (r"[-+]?\d*,\d+", Fault.DECIMAL_COMMA),
        ]
    if options.thousands is None:
        rules.append(("[-+]?\\d{1,3}([ \u00a0\u202f'\u2019]\\d{3})+([.,]\\d*)?", Fault.OTHER_THOUSANDS))
    return rules


def _fault(column: str, options: ReadOptions) -> str:
    cases = " ".join(
        f"WHEN regexp_full_match({column}, {quoted(pattern)}) THEN {fault}"
        for pattern, fault in fault_patterns(options)
    )
    return f"CASE {cases} ELSE {Fault.NOT_A_NUMBER} END"
