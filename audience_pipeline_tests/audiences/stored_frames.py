"""Memberships of a few people, stored as a refresh stores them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from audience_pipeline.audiences.definition import Definitions, read_definitions
from audience_pipeline.audiences.membership import Selection
from audience_pipeline.audiences.stored import People, StoredMembers, stored

PLATFORMS = "[meta, google, tiktok]"


def files(*names: str, holdout: int = 0, platforms: str = PLATFORMS) -> dict[str, bytes]:
    """The files of audiences of these names; what they ask for does not matter."""
    return {
        f"{name}.yaml": (
            f"name: {name}\ndescription: The people of {name}.\ninclude: {{where: orders > 0}}\n"
            f"platforms: {platforms}\nholdout_percent: {holdout}\n"
        ).encode()
        for name in names
    }


def definitions(*names: str, holdout: int = 0, platforms: str = PLATFORMS) -> Definitions:
    """Audiences of these names."""
    return read_definitions(files(*names, holdout=holdout, platforms=platforms))


def written(folder: Path, *names: str) -> None:
    """Write the files of audiences into a folder."""
    folder.mkdir()
    for name, content in files(*names).items():
        (folder / name).write_bytes(content)


def store(
    path: Path,
    members: Mapping[str, Collection[int]],
    people: int = 10,
    *,
    numbering: str = "n",
    holdout: int = 0,
) -> Path:
    """Store audiences of the people numbered 0 to ``people``."""
    who = People(pl.Series([f"p{number}" for number in range(people)]), np.arange(people, dtype=np.uint32))
    nobody = np.zeros(people, dtype=np.bool_)
    known = definitions(*members, holdout=holdout)
    chosen = {name: nobody.copy() for name in members}
    for name, numbers in members.items():
        chosen[name][list(numbers)] = True
    table, failed = stored(
        [Selection(audience, chosen[audience.name], nobody, {}) for audience in known], who, numbering
    )
    assert not failed
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)
    return path


def read_members(path: Path, audience: str, profile: pl.DataFrame, *, numbering: str) -> pl.DataFrame:
    """The members of a stored audience: ``customer_id, holdout``, in the order of the profile."""
    rows, held = StoredMembers(path, profile["customer_no"].to_numpy(), numbering=numbering).rows(audience)
    return profile.select("customer_id")[rows].with_columns(holdout=pl.Series(held))
