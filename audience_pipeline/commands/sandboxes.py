"""``audience-pipeline sandbox``, and the sandbox that stands beside a demo's workspace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from audience_pipeline.commands.console import fail, note
from audience_pipeline.settings import Settings

TOKENS = {
    "META_ACCESS_TOKEN": "sandbox-meta-token",
    "GOOGLE_ACCESS_TOKEN": "sandbox-google-token",
    "TIKTOK_ACCESS_TOKEN": "sandbox-tiktok-token",
}
ACCOUNTS = {
    "META_AD_ACCOUNT_ID": "100000000000001",
    "GOOGLE_CUSTOMER_ID": "1234567890",
    "TIKTOK_ADVERTISER_ID": "7000000000000000001",
}
POPULATIONS = ("truth/population.parquet", "invented_population.parquet")


def population_of(home: Path) -> Path | None:
    """Whom the sandbox platforms know, in a demo's workspace; None in every other."""
    found = (home / "input" / name for name in POPULATIONS)
    return next((path for path in found if path.is_file()), None)


@contextlib.contextmanager
def sandbox_beside(settings: Settings) -> Iterator[str | None]:
    """Run the sandbox of a demo's workspace and point this process at it; nothing in other workspaces."""
    population = population_of(settings.home)
    if population is None:
        yield None
        return
    from audience_pipeline.sandbox.server import running

    with running(settings.home / "sandbox", population) as url:
        variables = {
            "META_BASE_URL": url,
            "GOOGLE_DATA_MANAGER_BASE_URL": url,
            "TIKTOK_BASE_URL": url,
            **TOKENS,
            **ACCOUNTS,
        }
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield url
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def sandbox(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 8790,
    state: Annotated[Path, typer.Option(help="Folder that the platforms' state is kept in.")] = Path(
        ".sandbox"
    ),
    population: Annotated[
        Path | None, typer.Option(help="Parquet file of the people whom the platforms know.")
    ] = None,
    faults: Annotated[
        int | None, typer.Option(metavar="SEED", help="Inject faults, the same ones for the same seed.")
    ] = None,
    delay: Annotated[
        float, typer.Option(help="Seconds that a platform takes to process a batch.", min=0)
    ] = 0.3,
) -> None:
    """Stand-ins of Meta, Google and TikTok on 127.0.0.1, each under its real paths.

    Tokens: sandbox-meta-token, sandbox-google-token, sandbox-tiktok-token; any account id.

    Example: audience-pipeline sandbox --port 8790 --population .demo/shop/input/truth/population.parquet
    """
    from polars.exceptions import PolarsError

    from audience_pipeline.sandbox.server import run

    if population is not None and not population.is_file():
        fail(f"{population}: there is no such file", 2)
    note(
        f"Sandbox on http://127.0.0.1:{port}: set META_BASE_URL, GOOGLE_DATA_MANAGER_BASE_URL and "
        "TIKTOK_BASE_URL to it. Stop with Ctrl-C."
    )
    try:
        run(port=port, state_dir=state, population=population, delay=delay, faults=faults)
    except (ValueError, RuntimeError, PolarsError) as error:
        fail(f"{population or state}: {error}")
