"""Stores what a preview needs of everybody, so that it need not join a million people each time."""

from datetime import date

import polars as pl

from audience_pipeline.audiences.composition import COMPOSED_OF
from audience_pipeline.audiences.lookup import digest
from audience_pipeline.audiences.reach import audience_standing
from audience_pipeline.defs.addresses import addresses_of_opted_out
from audience_pipeline.defs.storage import table_path, write_table
from audience_pipeline.settings import Settings

STANDING = "audience_standing"
SOUND = "sound_definitions"
"""Key in the metadata of the file: ``lookup.digest`` of the definitions."""


def write_standing(settings: Settings, as_of: str, *, sound: bool = True) -> None:
    """Write where each customer stands with each platform, next to the profile of the date.

    The file says besides which definitions were found ``sound``: a preview need not check all of them again.

    Args:
        settings: the workspace.
        as_of: the date; its ``customer_profile``, ``identifiers`` and ``consent`` are there.
        sound: whether the definitions have just been loaded without a mistake.
    """
    lake = settings.lake
    profile = table_path(lake, "customer_profile", as_of)
    columns = pl.read_parquet_schema(profile)
    wanted = [name for name in ("customer_id", "customer_no", "person_key", *COMPOSED_OF) if name in columns]
    consent = pl.read_parquet(table_path(lake, "consent", as_of))
    people = table_path(lake, "identities", as_of)
    same = pl.read_parquet(people, columns=["source_id", "customer_id"]) if people.is_file() else None
    table = audience_standing(
        pl.read_parquet(profile, columns=wanted),
        pl.read_parquet(table_path(lake, "identifiers", as_of)),
        consent,
        addresses=addresses_of_opted_out(settings, date.fromisoformat(as_of), consent, same),
    )
    said = {SOUND: digest(settings.audiences)} if sound else {}
    write_table(table_path(lake, STANDING, as_of), table, said=said)
