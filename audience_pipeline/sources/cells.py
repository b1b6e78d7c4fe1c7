"""One value of a file in SQL: trimmed, checked, turned into what lands."""

from __future__ import annotations

from collections.abc import Mapping

from audience_pipeline.identifiers import ContactPatterns
from audience_pipeline.sources.contract import CONTRACTS, Kind
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.table import quoted

_BLANKS = r"E' \t\r\n' || chr(160) || chr(65279)"
"""Trimming these costs six times as much as trimming blanks alone, or as looking at both ends first."""
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no")


def trimmed(name: str, *, odd_blanks: bool) -> str:
    """The text without blanks around it; NULL where nothing is left."""
    if not odd_blanks:
        return f"nullif(trim({name}), '')"
    visible = " AND ".join(f"{name}[{place}] BETWEEN '!' AND '~'" for place in (1, -1))
    return f"CASE WHEN {visible} THEN {name} ELSE nullif(trim({name}, {_BLANKS}), '') END"


def is_contact(name: str, patterns: ContactPatterns) -> str:
    """Whether a text is or holds an e-mail address or phone number, as ``holds_contact`` says of it."""
    whole = " AND ".join(f"regexp_full_match({name}, {quoted(pattern)})" for pattern in patterns.whole)
    return (
        f"CASE WHEN {name} IS NULL OR regexp_full_match({name}, {quoted(patterns.harmless)}) THEN false "
        f"WHEN regexp_matches({name}, {quoted(patterns.anywhere)}) THEN true "
        f"ELSE {whole} AND NOT regexp_full_match({name}, {quoted(patterns.but)}) END"
    )


def truth(name: str) -> str:
    """True or false of ``true, 1, yes`` and ``false, 0, no`` in any case; NULL for everything else."""
    yes, no = (", ".join(quoted(word) for word in words) for words in (_YES, _NO))
    return f"CASE WHEN lower({name}) IN ({yes}) THEN true WHEN lower({name}) IN ({no}) THEN false END"


def json_object(columns: Mapping[str, str]) -> str:
    """The text of a JSON object of columns (to their names in it) without those that are NULL."""
    if not columns:
        return "CAST(NULL AS VARCHAR)"
    members = ", ".join(f"{quoted(key)}, {name}" for name, key in columns.items())
    # A merge patch removes what is null in it.
    return f"nullif(CAST(json_merge_patch('{{}}', json_object({members})) AS VARCHAR), '{{}}')"


def _choices(kind: Kind, name: str) -> str:
    return ", ".join(f"'{choice}'" for choice in CONTRACTS[kind].column(name).choices)


def choice(kind: Kind, name: str) -> str:
    """The value where it is allowed: what else is there is written nowhere."""
    return f"CASE WHEN {name}_ IN ({_choices(kind, name)}) THEN {name}_ END"


def allowed(kind: Kind, name: str, *, required: bool) -> str:
    """The fault of a value that must be one of the column's choices."""
    empty = Fault.EMPTY if required else Fault.NONE
    known = f"WHEN {name}_ IN ({_choices(kind, name)}) THEN 0 ELSE {Fault.NOT_ALLOWED}"
    return f"CASE WHEN {name} IS NULL THEN {empty} {known} END"


def identifier(name: str) -> str:
    """Ids that a spreadsheet or data frame has turned into decimals (``12346.0``) become what they were."""
    return (
        f"CASE WHEN ends_with({name}, '.0') AND regexp_full_match({name}, '\\d+\\.0') "
        f"THEN left({name}, length({name}) - 2) ELSE {name} END"
    )
