"""Reports as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from audience_pipeline.commands.console import out, table

Row = tuple[str, ...]


def number(value: float | None, digits: int = 0) -> str:
    """A number with thousands separators, or a dash."""
    return "-" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage, or a dash."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def landing_tables(reports: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """What came in, and what was set aside and why."""
    if not reports:
        return
    yield table(
        "What came in",
        {
            "file": "left",
            "kind": "left",
            "rows read": "right",
            "landed": "right",
            "there already": "right",
            "loaded twice": "right",
            "quarantined": "right",
        },
        [
            (
                str(report["file"]),
                str(report["kind"]),
                number(report["rows_read"]),
                number(report["landed"]),
                number(report["known"]),
                number(report["repeated"]),
                number(report["quarantined"]),
            )
            for report in reports
        ],
        caption=_both(reports),
    )
    reasons = [
        (
            str(report["file"]),
            str(reason["field"]),
            str(reason["reason"]),
            number(reason["rows"]),
            ", ".join(number(line) for line in reason["first_lines"]),
        )
        for report in reports
        for reason in report["quarantine"]
    ]
    if reasons:
        yield table(
            "Quarantined, and why",
            {"file": "left", "field": "left", "reason": "left", "rows": "right", "first lines": "left"},
            reasons,
        )
    notices = [(str(report["file"]), notice) for report in reports for notice in report["notices"]]
    if notices:
        yield table("Worth knowing", {"file": "left", "notice": "left"}, notices)


def _both(reports: Sequence[Mapping[str, Any]]) -> str:
    """Why the columns of a file may add up to more than was read."""
    return " ".join(
        f"{report['file']}: of the rows loaded twice, {number(report['repeated_and_quarantined'])} in "
        "quarantine as well; they count once in rows read."
        for report in reports
        if report["repeated_and_quarantined"]
    )


def show(report: Mapping[str, Any]) -> Iterator[Table | str]:
    """The whole report of a demo, one renderable after the other."""
    from audience_pipeline.commands.value_tables import checked_table, model_tables

    yield from landing_tables(report["landings"])
    yield from model_tables(report["model"], report["currency"])
    if report["checked_since"]:
        yield checked_table(report["checked_since"])
    if report["segments"]:
        yield segments_table(report["segments"])
    yield from delivery_tables(report["audiences"], report["deliveries"])
    if not report["changed"]:
        yield (
            "[bold green]Nothing has changed since the last run:[/] "
            "all files were known, all audiences are exact."
        )
    yield (
        f"As of {report['as_of']}. Workspace: {report['workspace']}. "
        f"Took {report['seconds']:.0f} s.\nNext: [bold]make ui[/] shows graph, pictures and history; "
        "[bold]audience-pipeline --help[/] does the same by hand."
    )


def segments_table(segments: Sequence[Mapping[str, Any]]) -> Table:
    """Sizes and means of the segments."""
    return table(
        "Segments",
        {
            "segment": "left",
            "customers": "right",
            "share": "right",
            "orders": "right",
            "value so far": "right",
            "predicted LTV": "right",
            "days since order": "right",
        },
        [
            (
                str(row["segment"]),
                number(row["customers"]),
                percent(row["share"]),
                number(row["orders"], 1),
                number(row["observed_value"], 2),
                number(row["predicted_ltv"], 2),
                number(row["days_since_last_order"]),
            )
            for row in segments
        ],
    )


FOLDED_NAME = 16
"""Characters that the name of an audience is not folded below."""
LESS_WANTED = ("held out", "read on", "may be sent", "rejected", "accepted")
"""Columns that a narrow terminal goes without, the first ones first; --json has them."""


def _fitting(title: str, columns: dict[str, str], rows: Sequence[Row], caption: str) -> Table:
    """The table without the columns that the terminal has no room for, so that none is cut off."""
    names = list(columns)
    needed = [FOLDED_NAME] + [
        max(len(_unbroken(text, columns[name])) for text in (name, *(row[place] for row in rows)))
        for place, name in enumerate(names[1:], start=1)
    ]
    left_out: set[str] = set()
    for name in LESS_WANTED:
        kept = [width for other, width in zip(names, needed, strict=True) if other not in left_out]
        if sum(kept) + 3 * len(kept) + 1 <= out.width:
            break
        left_out.add(name)
    places = [place for place, name in enumerate(names) if name not in left_out]
    return table(
        title,
        {names[place]: columns[names[place]] for place in places},
        [tuple(row[place] for place in places) for row in rows],
        caption,
    )


def _unbroken(text: str, side: str) -> str:
    """What of a cell must stand in one line: a figure as a whole, of words the longest."""
    return text if side == "right" else max(text.split(), key=len, default="")


def _state(row: Mapping[str, Any]) -> str:
    """The state of the last delivery, with people who are being processed or of whom nobody knows."""
    waiting = [
        f"{row[name]:,} {words}"
        for name, words in (("processing", "in processing"), ("unconfirmed", "not confirmed"))
        if row[name]
    ]
    return ", ".join([str(row["state"]), *waiting])


def _note(row: Mapping[str, Any]) -> str:
    how = f" To let it go on: {row['release']}" if row["release"] else ""
    return f"{row['message']}{how}"


def _why_not_delivered(members: int | None) -> str:
    if members is None:
        return "not evaluated"
    return "never delivered" if members else "nobody to send"


def delivery_tables(
    audiences: Sequence[Mapping[str, Any]], deliveries: Sequence[Mapping[str, Any]]
) -> Iterator[Table]:
    """Each audience with its size, and what arrived on each platform."""
    sizes = {row["audience"]: row for row in audiences}
    rows: list[Row] = []
    last = ""
    for row in deliveries:
        size = sizes.get(row["audience"], {"members": None, "holdout": None})
        first, last = row["audience"] != last, str(row["audience"])
        rows.append(
            (
                last if first else "",
                number(size["members"]) if first else "",
                number(size["holdout"]) if first else "",
                str(row["platform"]),
                number(row["wanted"]),
                number(row["sent"]),
                number(row["accepted"]),
                number(row["rejected"]),
                str(row["matched_text"]),
                str(row["rate_text"]),
                str(row["read_at"] or "-")[:10],
                _state(row),
            )
        )
    delivered = {row["audience"] for row in deliveries}
    rows += [
        (
            name,
            number(size["members"]),
            number(size["holdout"]),
            "none",
            *("-",) * 7,
            _why_not_delivered(size["members"]),
        )
        for name, size in sizes.items()
        if name not in delivered
    ]
    yield _fitting(
        "Audiences, and proof of arrival",
        {
            "audience": "left",
            "members": "right",
            "held out": "right",
            "platform": "left",
            "may be sent": "right",
            "sent": "right",
            "accepted": "right",
            "rejected": "right",
            "matched": "right",
            "rate": "right",
            "read on": "right",
            "state": "left",
        },
        rows,
        caption=(
            "Members may be sent when they consented, or live where silence allows it, have an identifier "
            "that the platform takes and are not held out. Matched and rate lie between the bounds that are "
            "shown, as of the day they were read: Meta states bounds or uploads, Google rates in steps, and "
            "TikTok's rate is matched over sent. audience-pipeline audiences status NAME says how each was "
            "obtained."
        ),
    )
    notes = [(str(row["audience"]), str(row["platform"]), _note(row)) for row in deliveries if row["message"]]
    if notes:
        yield table(
            "What to know about deliveries", {"audience": "left", "platform": "left", "note": "left"}, notes
        )
