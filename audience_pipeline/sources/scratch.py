"""A private folder for raw text: readable by nobody else, gone when the work is done or has failed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "audience-pipeline-"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder (mode 0700) outside the lake, removed at the end.

    Folders that a killed process left behind are removed first: its id is in their name.
    """
    for leftover in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_ours(leftover) and not _is_running(leftover.name):
            shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _is_running(name: str) -> bool:
    process = name.removeprefix(_PREFIX).partition("-")[0]
    if not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
