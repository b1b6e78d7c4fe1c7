"""The whole graph of an empty workspace, assembled once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import dagster as dg
import pytest

from audience_pipeline.definitions import build_definitions
from audience_pipeline.settings import Calendar, Settings


@pytest.fixture(scope="session")
def graph_settings(
    tmp_path_factory: pytest.TempPathFactory, workspace_at: Callable[..., Settings]
) -> Settings:
    """As it is deployed, with a process for each step."""
    return workspace_at(tmp_path_factory.mktemp("graph")).model_copy(update={"in_process": False})


@pytest.fixture(scope="session")
def graph(graph_settings: Settings) -> dg.Definitions:
    return resolved(graph_settings)


@pytest.fixture(scope="session")
def berlin(tmp_path_factory: pytest.TempPathFactory, workspace_at: Callable[..., Settings]) -> dg.Definitions:
    """The graph of a shop in Berlin whose data goes on."""
    live = Calendar(first_day=date(2025, 1, 10))
    return resolved(workspace_at(tmp_path_factory.mktemp("berlin"), live, time_zone="Europe/Berlin"))


def resolved(settings: Settings) -> dg.Definitions:
    """Dagster wants an instance while it resolves a repository, and keeps what it has resolved."""
    definitions = build_definitions(settings)
    with dg.DagsterInstance.ephemeral():
        definitions.get_repository_def()
    return definitions
