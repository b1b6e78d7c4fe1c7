"""The one place where what goes wrong unexpectedly becomes a sentence that repeats nothing of a file.

Messages of the libraries that read files repeat values of rows. They end here, with the exceptions that
they were chained to; of them only the type and the place in the code are told.
"""

from __future__ import annotations

import errno
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import duckdb
import polars as pl

from audience_pipeline.ledger.database import LedgerError
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.files import file_name
from audience_pipeline.sources.report import BalanceError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_SIGNS = ("No space left", "Disk quota", "disk is full", "max_temp_directory_size")
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
_PACKAGE = Path(__file__).parents[1]
_DEFECT = "nothing was landed. Please report this as a defect"

T = TypeVar("T")


def guarded(act: Callable[[], T], path: Path, folder: Path, *, elsewhere: str) -> T:
    """Do ``act`` with the file ``path``, writing into ``folder``.

    Args:
        act: what is done.
        path: the file, for its name.
        folder: what is written to, for messages about it.
        elsewhere: how to write to another one: ``move the lake (AUDIENCE_LAKE)``.

    Raises:
        SourceError: whatever went wrong; neither its text nor its chain of exceptions holds a value of a row.
        LedgerError: as it came; it tells of the ledger alone.
        MemoryError: as it came, like KeyboardInterrupt, SystemExit and other interruptions.
    """
    failure: BaseException
    try:
        return act()
    except (MemoryError, LedgerError):
        raise
    except SourceError as error:
        failure = error
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - all are told, as a sentence
        failure = KeyboardInterrupt() if _is_interruption(error) else _told(error, path, folder, elsewhere)
    # Outside of the handlers, where nothing is chained to it; what was chained before is let go.
    failure.__cause__ = failure.__context__ = None
    try:
        raise failure
    finally:
        del failure


def _is_interruption(error: BaseException) -> bool:
    """Whether DuckDB was stopped by a signal, which it reports as an error of its own."""
    return isinstance(error, duckdb.InterruptException) or (
        isinstance(error, RuntimeError) and str(error) == "Query interrupted"
    )


def _told(error: BaseException, path: Path, folder: Path, elsewhere: str) -> SourceError:
    name = file_name(path)
    if _is_full(error):
        return SourceError(
            name,
            f"there is no space left in {folder}{_free(folder)}",
            f"make room, or {elsewhere}; nothing was landed, so simply start again",
        )
    if isinstance(error, OSError) and error.filename == str(path):
        return SourceError(
            name, f"the file cannot be read any more ({error.strerror})", "nothing was landed; start again"
        )
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        return SourceError(
            name,
            f"the folder {error.filename or folder} cannot be written ({error.strerror})",
            f"check its permissions, or {elsewhere}",
        )
    what = "the rows do not add up" if isinstance(error, BalanceError) else "something unexpected happened"
    return SourceError(name, f"{what} ({type(error).__name__} at {_place(error)})", _DEFECT)


def _place(error: BaseException) -> str:
    """File and line of the innermost code of this package that was at work."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    text = str(error)
    return any(sign in text for sign in _FULL_SIGNS)


def _free(folder: Path) -> str:
    try:
        return f" ({shutil.disk_usage(folder).free / 1e6:,.0f} MB are free)"
    except OSError:
        return ""
