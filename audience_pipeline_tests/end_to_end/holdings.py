"""What the platforms hold, asked of the sandbox itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from audience_pipeline.sandbox.server import running
from audience_pipeline_tests.end_to_end.raw_files import PLATFORMS
from audience_pipeline_tests.end_to_end.runs import Place


@dataclass(frozen=True)
class Held:
    """Per audience and platform, the hashes of each person as the sandbox holds them."""

    rows: dict[tuple[str, str], list[frozenset[str]]]

    def everybody(self, platform: str) -> set[str]:
        return {
            text
            for (_, where), rows in self.rows.items()
            if where == platform
            for row in rows
            for text in row
        }


def held_by_the_platforms(place: Place, names: Mapping[str, str], state: Path) -> Held:
    """Ask a sandbox that goes on from a copy of the place's state.

    Args:
        place: where something was delivered.
        names: remote id to the name of the audience.
        state: a folder that is not there yet.
    """
    shutil.copytree(place.workspace / "sandbox", state)
    rows = {}
    with running(state, place.workspace / "input" / "truth" / "population.parquet") as address:

        def ask(what: str) -> dict:
            with urlopen(f"{address}/_sandbox/{what}", timeout=30) as answer:
                return json.load(answer)

        for platform in PLATFORMS:
            for audience in ask(f"audiences?platform={platform}")["audiences"]:
                members = ask(f"members?platform={platform}&audience_id={audience['id']}")["members"]
                name = names[audience["id"]]
                assert (name, platform) not in rows, "the same audience twice"
                rows[name, platform] = [frozenset(row) for row in members]
    return Held(rows)
