"""Landing a file: all of it or nothing, once, whatever happens in between.

The order is: rows and quarantine into a work folder inside the lake, both renamed into place, then the
ledger's row. The work folder says that a landing is under way; one that is found at the start belongs to a
process that died, and what it had put in place without the ledger's row is taken back.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.landings import Landing
from audience_pipeline.sources.boundary import guarded
from audience_pipeline.sources.contract import NOTHING_LANDED, Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.files import SourceFile, source_file
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.process import Earlier, Processed, nothing_usable, process
from audience_pipeline.sources.report import LandingReport
from audience_pipeline.sources.scratch import private_folder
from audience_pipeline.sources.staging import Progress
from audience_pipeline.sources.tombstones import KeyMissingError, Tombstones

WORK = ".work"
QUARANTINE = "quarantine"


def land(
    kind: Kind,
    path: Path,
    *,
    lake: Path,
    ledger: Ledger,
    options: ReadOptions | None = None,
    facts: ShopFacts | None = None,
    progress: Progress | None = None,
) -> LandingReport:
    """Land a file, unless this very file has landed as this kind before.

    Args:
        kind: what the file holds.
        path: CSV, JSON or Parquet, plain or gzip.
        lake: folder of the landed tables; rows go to ``<lake>/<dataset>/<landing_id>.parquet``, what cannot
            be used to ``<lake>/quarantine/<dataset>/<landing_id>.parquet``.
        ledger: remembers what has landed.
        options: how the file is written; by default it is looked at.
        facts: about the shop.
        progress: told what is being done and how many rows are done.

    Returns:
        What landed and what did not.

    Raises:
        SourceError: the file cannot be landed, and nothing of it was. So ends everything that goes wrong,
            save interruptions, lack of memory and a ledger that cannot be used; no value of a row is told.
    """
    say: Progress = progress or (lambda _what, _rows: None)

    def act() -> LandingReport:
        file = source_file(path)
        with _alone(lake, kind):
            take_back(lake, kind, ledger)
            _refuse_strangers(file.name, lake, kind, ledger)
            before = landings.find(ledger, kind, file.sha256)
            if before is not None and _landed(lake, kind, before.landing_id).exists():
                return LandingReport.unchanged(file.name, before)
            return _land(kind, file, lake, ledger, options or ReadOptions(), facts or ShopFacts(), say)

    return guarded(act, path, lake, elsewhere="move the lake (AUDIENCE_LAKE)")


def quarantine_file(lake: Path, kind: Kind, landing_id: str) -> Path:
    """Where the rows of a landing that cannot be used are listed; absent when there are none."""
    return lake / QUARANTINE / kind.dataset / f"{landing_id}.parquet"


def _land(
    kind: Kind,
    file: SourceFile,
    lake: Path,
    ledger: Ledger,
    options: ReadOptions,
    facts: ShopFacts,
    say: Progress,
) -> LandingReport:
    committed = [each for each in landings.committed(ledger, kind) if each.file_sha256 != file.sha256]
    files = [_landed(lake, kind, each.landing_id) for each in committed if each.rows_landed]
    lost = [each for each in files if not each.exists()]
    currency = next((each.currency for each in reversed(committed) if each.currency), None)
    earlier = Earlier([each for each in files if each.exists()], currency)
    tombstones = _tombstones(kind, file.name, lake, facts)
    with _work_folder(lake, kind, file.sha256[:16], ledger) as work:
        with private_folder() as scratch:
            result = process(
                kind,
                file,
                options=options,
                facts=facts,
                earlier=earlier,
                scratch=scratch,
                work=work,
                progress=say,
                tombstones=tombstones,
            )
        if lost:
            report = result.report.with_notices(
                f"{len(lost)} landed files are missing from the lake: land them again to have their rows"
            )
            result = Processed(report, result.landed, result.quarantine)
        say("landing", result.report.landed)
        return _commit(kind, lake, ledger, result, facts.earliest_date)


def _tombstones(kind: Kind, file: str, lake: Path, facts: ShopFacts) -> Tombstones | None:
    try:
        return Tombstones.of(lake, facts.key)
    except KeyMissingError as error:
        told = str(error)
    if kind is Kind.CONSENT:
        # An opt-out binds whatever else is wrong; of somebody who was erased nothing else lands with it.
        return None
    raise SourceError(file, "whose rows are those of erased people cannot be told", told)


def _commit(kind: Kind, lake: Path, ledger: Ledger, result: Processed, always: date) -> LandingReport:
    report = result.report
    listed = quarantine_file(lake, kind, report.landing_id)
    listed.parent.mkdir(parents=True, exist_ok=True)
    if result.quarantine is not None:
        result.quarantine.replace(listed)
    else:
        listed.unlink(missing_ok=True)
    error = nothing_usable(report)
    if error is not None:
        raise error
    target = _landed(lake, kind, report.landing_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    result.landed.replace(target)
    landings.record(
        ledger,
        Landing(
            landing_id=report.landing_id,
            kind=kind.value,
            file_name=report.file,
            file_sha256=report.file_sha256,
            rows_read=report.rows_read,
            rows_landed=report.landed,
            rows_known=report.known,
            rows_repeated=report.repeated,
            rows_quarantined=report.quarantined,
            # Rows without a date count on every day, so that every as-of date has become stale.
            first_date=always if report.undated else report.first_date,
            last_date=report.last_date,
            currency=report.currency,
            report=report.to_dict(),
        ),
    )
    return report


def _landed(lake: Path, kind: Kind, landing_id: str) -> Path:
    return lake / kind.dataset / f"{landing_id}.parquet"


@contextlib.contextmanager
def _alone(lake: Path, kind: Kind) -> Iterator[None]:
    (lake / WORK).mkdir(parents=True, exist_ok=True)
    with FileLock(lake / WORK / f"{kind.dataset}.lock", thread_local=False):
        yield


@contextlib.contextmanager
def _work_folder(lake: Path, kind: Kind, landing_id: str, ledger: Ledger) -> Iterator[Path]:
    folder = lake / WORK / f"{kind.dataset}-{landing_id}"
    folder.mkdir()
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError, SQLAlchemyError):
            take_back(lake, kind, ledger)


def take_back(lake: Path, kind: Kind, ledger: Ledger) -> None:
    """Remove work folders, and landed rows that they began and the ledger does not know."""
    recorded = {each.landing_id for each in landings.committed(ledger, kind)}
    for folder in sorted((lake / WORK).glob(f"{kind.dataset}-*")):
        landing_id = folder.name.removeprefix(f"{kind.dataset}-")
        if landing_id not in recorded:
            _landed(lake, kind, landing_id).unlink(missing_ok=True)
        shutil.rmtree(folder)


def _refuse_strangers(file: str, lake: Path, kind: Kind, ledger: Ledger) -> None:
    """Rows that no landing here began belong to another ledger: counting past them would be wrong."""
    recorded = {each.landing_id for each in landings.committed(ledger, kind)}
    known = {*recorded, Path(NOTHING_LANDED).stem}
    strangers = [path for path in (lake / kind.dataset).glob("*.parquet") if path.stem not in known]
    if strangers:
        raise SourceError(
            file,
            f"{len(strangers)} landed files in {lake / kind.dataset} are not in the ledger, so lake and "
            "ledger do not belong together",
            "check AUDIENCE_LAKE and AUDIENCE_LEDGER_URL, or remove the files and land their sources again",
        )
