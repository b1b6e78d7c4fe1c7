"""``audience-pipeline sandbox``, and the sandbox that stands beside a demo's workspace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from audience_pipeline.commands.console import fail, note
from audience_pipeline.settings import ADS_BASE_URL, BASE_URLS, Settings

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


def variables_of(url: str) -> dict[str, str]:
    """The environment that points every client at a sandbox."""
    addresses = [*(variable for variable, _ in BASE_URLS.values()), ADS_BASE_URL]
    return {**dict.fromkeys(addresses, url), **TOKENS, **ACCOUNTS}


@contextlib.contextmanager
def sandbox_beside(settings: Settings) -> Iterator[str | None]:
    """Run the sandbox of a demo's workspace and point this process at it; nothing in other workspaces.

    One that another command runs on the same folder already is used, and left running.
    """
    population = population_of(settings.home)
    if population is None:
        yield None
        return
    from audience_pipeline.sandbox.server import running, serving

    folder = settings.home / "sandbox"
    present = serving(folder)
    with contextlib.nullcontext(present) if present else running(folder, population) as url:
        variables = variables_of(url)
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
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
    ] = 8790,
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

    Prints what to set, ready to be pasted into a shell. Tokens: sandbox-meta-token, sandbox-google-token,
    sandbox-tiktok-token; any account id. /_sandbox/ shows what the platforms hold.

    Example: audience-pipeline sandbox --port 8790 --population .demo/shop/input/truth/population.parquet
    """
    from polars.exceptions import PolarsError

    from audience_pipeline.sandbox.server import run

    if population is not None and not population.is_file():
        fail(f"{population}: there is no such file", 2)

    def ready(url: str) -> None:
        for name, value in variables_of(url).items():
            typer.echo(f"export {name}={value}")
        note(
            f"Sandbox on {url}, its state in {state}. Paste the lines above into the shell that you work in; "
            f"{url}/_sandbox/audiences?platform=meta shows what a platform holds, {url}/_sandbox/faults what "
            "trouble was made. Stop with Ctrl-C: the state stays."
        )

    try:
        run(port=port, state_dir=state, population=population, delay=delay, faults=faults, on_ready=ready)
    except (ValueError, PolarsError) as error:
        fail(f"{population}: {error}")
    except (OSError, RuntimeError) as error:
        fail(str(error))
