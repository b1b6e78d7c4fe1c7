"""Make the shop: draw it block by block and write its files."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import polars as pl

from audience_pipeline.sandbox.shop.consent import draw_consent
from audience_pipeline.sandbox.shop.contacts import draw_contacts
from audience_pipeline.sandbox.shop.dirt import (
    BAD_AMOUNT,
    BAD_DATE,
    UNSEEN_RETURN,
    WITHOUT_CUSTOMER,
    draw_transactions,
)
from audience_pipeline.sandbox.shop.draws import BLOCK
from audience_pipeline.sandbox.shop.engagement import draw_engagement
from audience_pipeline.sandbox.shop.files import GrowingFile, Piece, encode
from audience_pipeline.sandbox.shop.latent import draw_latent
from audience_pipeline.sandbox.shop.lines import draw_lines
from audience_pipeline.sandbox.shop.links import with_links
from audience_pipeline.sandbox.shop.orders import draw_orders
from audience_pipeline.sandbox.shop.parameters import FileFormat, ShopParameters
from audience_pipeline.sandbox.shop.readers import Readers, draw_readers
from audience_pipeline.sandbox.shop.truth import customers_truth, draw_population
from audience_pipeline.sandbox.shop.web import draw_web_events

_AHEAD = 2
"""Blocks drawn ahead of the writing, per worker: bounds the memory."""


@dataclass(frozen=True, slots=True)
class ShopFiles:
    """Where the shop's files are and what is in them."""

    directory: Path
    transactions: Path
    crm: Path
    web_events: Path
    engagement_events: Path
    consent: Path
    customers: Path
    """Truth: one row a customer."""
    future_transactions: Path
    """Truth: the 365 days after the last day, clean and typed."""
    population: Path
    """Truth: the people whom the platforms know."""
    summary: Path
    """Truth: parameters and counts as JSON; written last, so where it is the shop is whole."""
    rows: Mapping[str, int]
    """Rows of each file, by the file's field."""
    faults: Mapping[str, int]
    """Lines made faulty, repeated ones included: ``without_customer, bad_dates, bad_amounts``; besides
    ``unseen_returns`` and ``repeated_lines`` (second copies of the repeated day)."""
    repeated_day: date | None


def make_shop(
    directory: Path,
    parameters: ShopParameters,
    progress: Callable[[str, float], None] | None = None,
    *,
    workers: int = 2,
) -> ShopFiles:
    """Draw a shop and write its files; the same parameters give the same bytes.

    Args:
        directory: where to write; made if need be. Files that are there are replaced.
        parameters: the shop.
        progress: called with what is being made and how much of it is done, 0 to 1.
        workers: blocks drawn at a time; changes the speed and nothing else.

    Returns:
        The files, with their numbers of rows.
    """
    (directory / "truth").mkdir(parents=True, exist_ok=True)
    paths = _paths(directory, parameters.file_format)
    summary = directory / "truth" / "shop.json"
    summary.unlink(missing_ok=True)
    files = {name: GrowingFile(path) for name, path in paths.items()}
    blocks = -(-parameters.customers // BLOCK)
    rows: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    try:
        for done, block in enumerate(_blocks(parameters, blocks, workers), start=1):
            for name, piece in block.pieces.items():
                files[name].append(piece)
            rows.update(block.rows)
            faults.update(block.faults)
            if progress is not None:
                progress("synthetic shop", done / blocks)
    except BaseException:
        for file in files.values():
            file.abandon()
        raise
    for file in files.values():
        file.complete()
    made = ShopFiles(
        directory=directory,
        **paths,
        summary=summary,
        rows=dict(rows),
        faults=dict(faults),
        repeated_day=parameters.repeated_day,
    )
    facts = {
        "parameters": asdict(parameters),
        "rows": made.rows,
        "faults": made.faults,
        "repeated_day": made.repeated_day,
    }
    summary.write_text(json.dumps(facts, indent=2, default=str) + "\n", encoding="utf-8")
    return made


@dataclass(frozen=True, slots=True)
class _Block:
    """One block of customers, ready to be written."""

    pieces: Mapping[str, Piece]
    rows: Mapping[str, int]
    faults: Mapping[str, int]


def _paths(directory: Path, file_format: FileFormat) -> dict[str, Path]:
    truth = directory / "truth"
    return {
        "transactions": directory / f"transactions.{file_format}",
        "crm": directory / "crm.csv",
        "web_events": directory / f"web_events.{file_format}",
        "engagement_events": directory / f"engagement_events.{file_format}",
        "consent": directory / "consent.csv",
        "customers": truth / "customers.parquet",
        "future_transactions": truth / "future_transactions.parquet",
        "population": truth / "population.parquet",
    }


def _blocks(parameters: ShopParameters, blocks: int, workers: int) -> Iterator[_Block]:
    """The blocks in their order, drawn a few at a time."""
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[_Block]] = deque()
        try:
            for block in range(blocks):
                ahead.append(pool.submit(_draw_block, parameters, block))
                if len(ahead) >= workers * _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()


def _draw_block(parameters: ShopParameters, block: int) -> _Block:
    """Everything about one block of customers."""
    latent = draw_latent(parameters, block)
    orders = draw_orders(parameters, block, latent)
    lines = draw_lines(parameters, block, latent, orders)
    transactions, future = draw_transactions(parameters, block, latent, orders, lines)
    people, crm = draw_contacts(parameters, block, latent)
    consent, advertising = draw_consent(parameters, block, latent, people)
    frames = {
        "transactions": transactions,
        "crm": crm,
        "web_events": draw_web_events(parameters, block, latent, orders, lines),
        "engagement_events": draw_engagement(parameters, block, latent, orders),
        "consent": consent,
        "customers": customers_truth(parameters, latent, orders, lines, people, advertising),
        "future_transactions": future,
        "population": draw_population(parameters, block, people),
    }
    frames = with_links(parameters, block, latent, orders, lines, people, advertising, frames)
    frames = _with_readers(frames, draw_readers(parameters, block, latent, people))
    frames = {name: frame.filter(pl.col("number") <= parameters.customers) for name, frame in frames.items()}
    fault, again = frames["transactions"]["_fault"], frames["transactions"]["_again"]
    formats: dict[str, FileFormat] = dict.fromkeys(("crm", "consent"), "csv")
    formats |= dict.fromkeys(("customers", "future_transactions", "population"), "parquet")
    return _Block(
        pieces={
            name: encode(
                frame.select(pl.exclude("number", "^_.*$")),
                formats.get(name, parameters.file_format),
                header=block == 0,
            )
            for name, frame in frames.items()
        },
        rows={name: len(frame) for name, frame in frames.items()},
        faults={
            "without_customer": int((fault == WITHOUT_CUSTOMER).sum()),
            "bad_dates": int((fault == BAD_DATE).sum()),
            "bad_amounts": int((fault == BAD_AMOUNT).sum()),
            "unseen_returns": int((fault == UNSEEN_RETURN).sum()),
            "repeated_lines": int(again.sum()),
        },
    )


def _with_readers(frames: Mapping[str, pl.DataFrame], readers: Readers) -> dict[str, pl.DataFrame]:
    """The files with the rows of readers among the others, by time."""
    mailed = frames["engagement_events"].with_columns(email=pl.lit(None, dtype=pl.String))
    sets = {"crm": "updated_at", "engagement_events": "event_at", "consent": "event_at"}
    own = {**frames, "engagement_events": mailed}
    return {
        **own,
        **{
            name: pl.concat([own[name], getattr(readers, name)]).sort(column, maintain_order=True)
            for name, column in sets.items()
        },
        "population": pl.concat([frames["population"], readers.population]).sort(
            "number", maintain_order=True
        ),
    }
