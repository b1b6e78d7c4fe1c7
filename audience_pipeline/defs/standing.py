"""Stores what a preview needs of everybody, so that it need not join a million people each time."""

import polars as pl

from audience_pipeline.audiences.composition import COMPOSED_OF
from audience_pipeline.audiences.lookup import digest
from audience_pipeline.audiences.reach import audience_standing
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
    table = audience_standing(
        pl.read_parquet(profile, columns=wanted),
        pl.read_parquet(table_path(lake, "identifiers", as_of)),
        pl.read_parquet(table_path(lake, "consent", as_of)),
    )
    said = {SOUND: digest(settings.audiences)} if sound else {}
    write_table(table_path(lake, STANDING, as_of), table, said=said)
