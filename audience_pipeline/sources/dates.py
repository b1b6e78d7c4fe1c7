r"""Dates and times, read strictly: a format that can be read in two ways is asked about, never guessed.

Read as they are: ``YYYY-MM-DD``, ``YYYY/MM/DD``, ``DD.MM.YYYY`` (each alone or with a time after a blank
or ``T``: ``HH:MM``, seconds and fractions if there are any, then ``Z`` or an offset if there is one) and
``YYYYMMDD``. Everything else needs ``date_format``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audience_pipeline.sources.engine import one
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.table import quoted

_TIME = r"[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_OFFSET = r" ?([Zz]|[+-][01]\d(:?[0-5]\d)?)"
_YEAR_FIRST = r"\d{4}-\d{2}-\d{2}|\d{4}/\d{2}/\d{2}"
_DOTTED = r"(\d{1,2})\.(\d{1,2})\.(\d{4})"
_KNOWN = rf"({_YEAR_FIRST}|{_DOTTED})({_TIME}({_OFFSET})?)?|\d{{8}}"
_AMBIGUOUS = r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})([T ,].*)?"
_PART_MAY_BE_DAY_ONLY = 12


@dataclass(frozen=True, slots=True)
class Moment:
    """SQL of a column of dates: the instant in the shop's time (TIMESTAMP), if it has a time, a fault."""

    at: str
    has_time: str
    fault: str


def moment(column: str, parsed: str, options: ReadOptions, facts: ShopFacts, *, required: bool) -> Moment:
    """How a column of dates is read.

    Args:
        column: SQL name of the trimmed text, null where empty.
        parsed: SQL name under which the result of ``at`` will be visible to ``fault``.
        options: ``date_format``.
        facts: time zone and the range of days that can be.
        required: whether an empty value is a fault.
    """
    empty = Fault.EMPTY if required else Fault.NONE
    in_range = (
        f"WHEN {parsed} < DATE '{facts.earliest_date}' THEN {Fault.TOO_EARLY} "
        f"WHEN {parsed} >= DATE '{facts.today}' + 2 THEN {Fault.IN_FUTURE} ELSE {Fault.NONE} END"
    )
    if options.date_format is not None:
        read = f"try_strptime({column}, {quoted(options.date_format)})"
        if "%z" in options.date_format or "%Z" in options.date_format:
            read = f"timezone({quoted(facts.time_zone)}, {read})"
        has_time = any(code in options.date_format for code in ("%H", "%I", "%-H", "%-I", "%T", "%X", "%c"))
        unread = f"WHEN {parsed} IS NULL THEN {Fault.UNREADABLE_DATE} "
        return Moment(read, str(has_time), f"CASE WHEN {column} IS NULL THEN {empty} {unread}{in_range}")
    unread = (
        f"WHEN {parsed} IS NULL THEN CASE WHEN regexp_full_match({column}, {quoted(_KNOWN)}) "
        f"THEN {Fault.NO_SUCH_DAY} WHEN regexp_full_match({column}, {quoted(_AMBIGUOUS)}) "
        f"THEN {Fault.AMBIGUOUS_DATE} ELSE {Fault.UNREADABLE_DATE} END "
    )
    return Moment(
        _detected(column, facts.time_zone),
        f"length({column}) > 10",
        f"CASE WHEN {column} IS NULL THEN {empty} {unread}{in_range}",
    )


def _detected(column: str, time_zone: str) -> str:
    dashed = f"{column}[5] = '-' AND {column}[8] = '-'"
    timed = (
        f"{dashed} AND {column}[11] IN (' ', 'T') AND {column}[14] = ':' AND {column}[17] = ':' "
        f"AND {column}[19] BETWEEN '0' AND '9'"
    )
    iso = rf"regexp_replace(replace({column}, '/', '-'), {quoted('^' + _DOTTED)}, '\3-\2-\1')"
    offset = rf"regexp_replace({iso}, ' ?([+-])(\d\d):?(\d\d)?$', '\1\2:\3')"
    zone = f"regexp_replace({offset}, ' ?[Zz]$', 'Z')"
    # The first two cases are nearly all of real data, and cost a fifth of a regular expression.
    return (
        f"CASE WHEN length({column}) = 10 AND {dashed} THEN try_cast({column} AS TIMESTAMP) "
        f"WHEN length({column}) = 19 AND {timed} THEN try_cast({column} AS TIMESTAMP) "
        f"WHEN length({column}) = 8 AND regexp_full_match({column}, '\\d{{8}}') "
        f"THEN try_strptime({column}, '%Y%m%d') "
        f"WHEN regexp_full_match({column}, {quoted(rf'({_YEAR_FIRST}|{_DOTTED})({_TIME})?')}) "
        f"THEN try_cast({iso} AS TIMESTAMP) "
        f"WHEN regexp_full_match({column}, {quoted(rf'({_YEAR_FIRST}|{_DOTTED}){_TIME}{_OFFSET}')}) "
        f"THEN timezone({quoted(time_zone)}, try_cast(rtrim({zone}, ':') AS TIMESTAMPTZ)) END"
    )


def ask(file: str, column: str, connection: Any, relation: str, line: int | None) -> SourceError:
    """The question that ambiguous dates lead to.

    Args:
        file: name of the file.
        column: name of the column in the contract.
        connection: a DuckDB connection on which ``relation`` can be read.
        relation: SQL of a relation with the text of ``column``.
        line: where the first such date is.
    """
    text = f"trim({column})"
    extracted = ", ".join(
        f"max(CAST(regexp_extract({text}, {quoted(_AMBIGUOUS)}, {group}) AS INTEGER)) AS part{group}"
        for group in (1, 2)
    )
    shape, first, second = one(
        connection,
        f"SELECT mode(regexp_replace(regexp_extract({text}, {quoted('^[^T ,]+')}), '[0-9]', '9', 'g')), "
        f"max(part1), max(part2) FROM (SELECT {column}, {extracted} FROM ({relation}) "
        f"WHERE regexp_full_match({text}, {quoted(_AMBIGUOUS)}) GROUP BY {column})",
    )
    separator = next((character for character in shape if character != "9"), "/")
    year = "%Y" if shape.endswith("9999") else "%y"
    day_first, month_first = (separator.join([*parts, year]) for parts in (("%d", "%m"), ("%m", "%d")))
    limit = _PART_MAY_BE_DAY_ONLY
    if first > limit and second > limit:
        settled, remedy = "rows contradict each other: both parts go above 12", "make the dates of one format"
    elif first > limit:
        settled, remedy = "some rows can only be day first", f"give date_format: {day_first}"
    elif second > limit:
        settled, remedy = "some rows can only be month first", f"give date_format: {month_first}"
    else:
        settled = "no row settles it"
        remedy = f"give date_format: {day_first} or {month_first}"
    if "date_format: " in remedy:
        remedy += f" (--date-format '{remedy.split('date_format: ')[1].split(' or ')[0]}')"
    return SourceError(
        file,
        f"dates such as {shape} can be read as day first ({day_first}) or month first ({month_first}), and "
        + settled,
        remedy,
        line=line,
        field=column,
    )
