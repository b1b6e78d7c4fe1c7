"""Requests of people: landed like a file of statements, logged, and counted for a receipt."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from audience_pipeline.defs.consent_log import log_statements
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.defs.sources import shop_facts
from audience_pipeline.identifiers.source_ids import EMAIL, LOYALTY, PHONE, PREFIXES, hashed_id, own_id
from audience_pipeline.ledger import consent_log, landings
from audience_pipeline.ledger.consent_log import Head
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import NOTHING_LANDED, Kind
from audience_pipeline.sources.files import file_name
from audience_pipeline.sources.landing import WORK, land
from audience_pipeline.sources.requests import NAMED, READ_AS, People, Status, write
from audience_pipeline.sources.scratch import private_folder

_WITH_IDS = (Kind.TRANSACTIONS, Kind.CRM, Kind.WEB, Kind.ENGAGEMENT)
_WITH_CARDS = (Kind.TRANSACTIONS, Kind.CRM, Kind.WEB)
_WITH_HASHES = {Kind.CRM: ("meta_email", "meta_phone"), Kind.ENGAGEMENT: ("meta_email",)}


class NobodyNamedError(Exception):
    """Nothing in a request names anybody; the message says what was looked for."""


class StrayFileError(Exception):
    """Something lies among the statements that this workspace never landed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Requested:
    """What became of a request. Counts are ids, addresses and numbers, as they were given."""

    request_id: str
    """The id of its landing, by which ledger and log know it."""
    status: Status
    platform: str | None
    stated_at: datetime
    given: int
    known: int
    unknown: int
    """Kept all the same: whoever is imported with one of them later is bound by the request."""
    unread: tuple[int, ...]
    """Lines in which nobody could be made out."""
    log: Head
    erased: int = 0
    """Rows of people who were erased before."""


def request(
    settings: Settings, ledger: Ledger, people: People, status: Status, platform: str | None = None
) -> Requested:
    """Land a request as statements of consent and append it to the log.

    Raises:
        NobodyNamedError: it names nobody.
        StrayFileError: requests cannot be told from what lies beside them.
        SourceError: it cannot be landed.
    """
    _refuse_strays(settings, ledger)
    for kind in Kind:
        ensure_dataset(settings.lake, kind)
    words = _known_ids(settings, people.doubtful)
    named = pl.concat([people.named, words.select("customer_id").pipe(_only_ids)]).unique(maintain_order=True)
    unread = sorted({*people.unread} - {*words["line"]})
    if named.is_empty():
        raise NobodyNamedError(
            "nothing in it is an e-mail address, a phone number or an id; a phone number without a country "
            "code needs shop.default_region in audience.yaml, and an id without a digit must be one of yours"
        )
    now = datetime.now(UTC)
    with private_folder() as folder:
        report = land(
            Kind.CONSENT,
            write(folder, named, status, platform=platform, now=now),
            lake=settings.lake,
            ledger=ledger,
            options=READ_AS,
            facts=shop_facts(settings),
        )
    log_statements(settings, ledger)
    known = _known(settings, named)
    return Requested(
        request_id=report.landing_id,
        status=status,
        platform=platform,
        stated_at=now,
        given=named.height,
        known=known,
        unknown=named.height - known,
        unread=tuple(unread),
        log=next(one for one in consent_log.heads(ledger) if one.reference.endswith(f"-{report.landing_id}")),
        erased=report.erased,
    )


def _refuse_strays(settings: Settings, ledger: Ledger) -> None:
    folder = settings.lake / Kind.CONSENT.dataset
    known = {Path(NOTHING_LANDED).stem, *(one.landing_id for one in landings.committed(ledger, Kind.CONSENT))}
    strays = [path for path in folder.glob("*.parquet") if path.stem not in known]
    if strays and not list((settings.lake / WORK).glob(f"{Kind.CONSENT.dataset}-*")):
        some = "lies 1 file" if len(strays) == 1 else f"lie {len(strays)} files"
        them = "it" if len(strays) == 1 else "them"
        raise StrayFileError(
            f"nothing was requested: in {folder} {some} that this workspace never landed, such as "
            f"{file_name(strays[0])}. Move {them} out of the folder and ask again; statements come in by "
            "audience-pipeline ingest consent FILE"
        )


def _only_ids(frame: pl.DataFrame) -> pl.DataFrame:
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in NAMED.items() if name != "customer_id"]
    return frame.with_columns(absent).select(list(NAMED))


def _known_ids(settings: Settings, words: pl.DataFrame) -> pl.DataFrame:
    """Those of some words that are ids of ours."""
    if words.is_empty():
        return words
    asked = words.select("customer_id").unique().lazy()
    parts = [
        dataset(settings.lake, kind).select("customer_id").join(asked, on="customer_id", how="semi").unique()
        for kind in _WITH_IDS
    ]
    found = pl.concat(parts).unique().collect(engine="streaming")
    return words.join(found, on="customer_id", how="semi")


def _known(settings: Settings, named: pl.DataFrame) -> int:
    """How many rows name somebody of whom something has landed."""
    rows = named.with_row_index("row")
    plain = pl.any_horizontal(pl.col("customer_id").str.starts_with(prefix) for prefix in PREFIXES)
    asked = {
        "customer_id": pl.concat(
            [
                rows.select("row", own_id("customer_id")),
                rows.filter(plain).select("row", "customer_id"),
                *(
                    rows.select("row", hashed_id(prefix, column).alias("customer_id"))
                    for column, prefix in (("meta_email", EMAIL), ("meta_phone", PHONE))
                ),
            ]
        ),
        **{column: rows.select("row", column) for column in ("meta_email", "meta_phone")},
        "loyalty_id": rows.filter(pl.col("customer_id").str.starts_with(LOYALTY)).select(
            "row", pl.col("customer_id").str.strip_prefix(LOYALTY).alias("loyalty_id")
        ),
    }
    places = [(kind, "customer_id") for kind in _WITH_IDS]
    places += [(kind, "loyalty_id") for kind in _WITH_CARDS]
    places += [(kind, column) for kind, columns in _WITH_HASHES.items() for column in columns]
    found = [
        asked[column]
        .drop_nulls()
        .lazy()
        .join(dataset(settings.lake, kind).select(column), on=column, how="semi")
        .select("row")
        for kind, column in places
    ]
    return int(pl.concat(found).unique().select(pl.len()).collect(engine="streaming").item())
