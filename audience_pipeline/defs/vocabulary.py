"""What the definition files of a workspace may name: fields, uploaded lists, segments. Loads no Dagster."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import TypedDict

import polars as pl

from audience_pipeline.audiences.fields import Field, fields_with
from audience_pipeline.audiences.lists import listed
from audience_pipeline.defs.addresses import addresses
from audience_pipeline.settings import Settings
from audience_pipeline.sources.lists import list_names, read_list


class Vocabulary(TypedDict):
    """Keyword arguments of ``audiences.definition.load_definitions``."""

    fields: Mapping[str, Field]
    lists: tuple[str, ...]
    segments: tuple[str, ...] | None


def vocabulary(settings: Settings, *, with_segments: bool = True) -> Vocabulary:
    """What is known in a workspace today.

    Args:
        settings: the workspace.
        with_segments: whether an unknown segment is a mistake; it is none before segments were found. A
            refresh leaves them open: one that went away stops only the audiences that name it.

    Raises:
        ValueError: the columns that the workspace keeps of its CRM files cannot be fields.
    """
    reading = settings.config.sources.get("crm")
    return {
        "fields": fields_with(reading.keep if reading else ()),
        "lists": list_names(settings.lake),
        "segments": segment_names(settings) if with_segments else None,
    }


def segment_names(settings: Settings) -> tuple[str, ...] | None:
    """The segments of the newest date; None before the first."""
    found = sorted((settings.lake / "customer_segments").glob("????-??-??.parquet"))
    if not found:
        return None
    names = pl.scan_parquet(found[-1]).select(pl.col("segment").drop_nulls().unique().sort()).collect()
    return tuple(names["segment"])


def list_members(
    settings: Settings,
    names: Collection[str],
    *,
    as_of: date,
    identifiers: pl.DataFrame,
    identities: pl.DataFrame | None,
    customers: pl.Series,
) -> dict[str, pl.Series]:
    """The customers whom uploaded lists name, by list.

    Args:
        settings: the workspace.
        names: the lists that are asked for (``Definitions.lists``).
        as_of: the date; what was said and done later is not seen.
        identifiers: the identifiers of the date.
        identities: the identities of that date.
        customers: the ids of everybody in the profile of that date.
    """
    ever = addresses(settings, as_of)
    return {
        name: listed(
            read_list(settings.lake, name), identifiers, identities, customers=customers, addresses=ever
        )
        for name in sorted(names)
    }
