"""One customer told: under which names it is known, what joined them, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from audience_pipeline.customers.identities_decisions import REFUSED, SAME
from audience_pipeline.customers.identities_graph import Refusal
from audience_pipeline.identifiers.source_ids import ANONYMOUS, EMAIL, LOYALTY, PHONE

_NAMED = {
    EMAIL: "an e-mail address",
    PHONE: "a phone number",
    LOYALTY: "a loyalty card",
    ANONYMOUS: "a browser",
}
_SHARED = {kind: same.removeprefix("same ") for kind, same in SAME.items()}


def story(
    identities: pl.DataFrame,
    decisions: pl.DataFrame,
    customer_id: str,
    files: Mapping[str, str],
    sequences: Mapping[int, str],
) -> dict[str, Any]:
    """Everything that is known of how a customer came to be one.

    Args:
        identities: ``IDENTITIES_SCHEMA`` of a date.
        decisions: ``DECISIONS_SCHEMA`` of that date.
        customer_id: whom; or a browser of nobody, of which there are refusals alone.
        files: the name of each landed file, by landing id.
        sequences: likewise, by the sequence of the landing.

    Returns:
        JSON values: ``customer_id, person_key, aliases, merges, refusals``, the oldest alias first. Each
        merge and refusal has its ``sentence``.
    """
    own = identities.filter(pl.col("customer_id") == customer_id)
    aliases = own.sort("landing_sequence", "first_seen", "source_id", nulls_last=False).to_dicts()
    names = [*own["source_id"], customer_id]
    about = decisions.filter(
        (pl.col("customer_id") == customer_id)
        | pl.col("source_id").is_in(names)
        | pl.col("other_id").is_in(names)
    ).to_dicts()
    told = [_told(row, files) for row in about]
    return {
        "customer_id": customer_id if aliases else None,
        "person_key": aliases[0]["person_key"] if aliases else None,
        "aliases": [
            {
                "source_id": row["source_id"],
                "named_by": named_by(row["source_id"]),
                "first_seen": row["first_seen"],
                "file": sequences.get(row["landing_sequence"]),
                "line": row["line"],
            }
            for row in aliases
        ],
        "merges": [row for row in told if row["decision"] == "merged"],
        "refusals": [row for row in told if row["decision"] == "refused"],
    }


def named_by(source_id: str) -> str:
    """What a source id is: the shop's own id, an e-mail address, ..."""
    return next((what for prefix, what in _NAMED.items() if source_id.startswith(prefix)), "the shop's id")


def place(day: date | None, file: str | None, line: int | None) -> str:
    """Where something stands: ``2026-03-01, crm.csv line 17``."""
    where = " ".join([*([file] if file else []), *([f"line {line}"] if line is not None else [])])
    return ", ".join([day.isoformat() if day else "without a date", *([where] if where else [])])


def sentence(decision: Mapping[str, Any], file: str | None) -> str:
    """A row of the decisions in words."""
    one, other, reason = decision["source_id"], decision["other_id"], decision["reason"]
    at = place(decision["statement_date"], file, decision["line"])
    if decision["decision"] == "merged":
        return f"{one} is the same person as {other}: {reason}, {at}"
    shared = _SHARED[decision["kind"]]
    if reason == REFUSED[Refusal.PLACEHOLDER]:
        return f"{one} is joined to nobody by its {shared}, which {reason} ({at})"
    return f"{one} is not joined to {other} by the {shared} that they share: {reason} ({at})"


def _told(row: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    file = files.get(row["landing_id"] or "")
    shown = ("source_id", "other_id", "kind", "decision", "reason", "statement_date", "line")
    return {**{name: row[name] for name in shown}, "file": file, "sentence": sentence(row, file)}
