"""``audience-pipeline ltv``: train and score on a file, without a workspace."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from audience_pipeline.commands.console import JsonOption, fail, note, out, print_json, progress
from audience_pipeline.commands.ltv_serve import serve
from audience_pipeline.commands.reading import (
    ColumnOption,
    DateFormatOption,
    DecimalOption,
    DelimiterOption,
    EncodingOption,
    ThousandsOption,
    reading,
)
from audience_pipeline.commands.tables import model_tables

app = typer.Typer(no_args_is_help=True, help="Customer values: train, score, serve.")

TransactionsOption = Annotated[
    Path, typer.Option("--transactions", metavar="FILE", help="CSV, JSON or Parquet, plain or gzip.")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="The last day that may be seen; without it, the last in the file.",
    ),
]


@contextmanager
def _orders(file: Path, said: dict[str, Any]) -> Iterator[tuple[pl.LazyFrame, date]]:
    """The orders of a file and its last day; what could not be used is said."""
    from audience_pipeline.customers.orders import orders
    from audience_pipeline.sources.errors import SourceError
    from audience_pipeline.sources.options import ReadOptions, ShopFacts
    from audience_pipeline.sources.single import read_transactions

    if not file.is_file():
        fail(f"{file}: there is no such file", 2)
    with tempfile.TemporaryDirectory(prefix="audience-") as folder:
        try:
            lines, report = read_transactions(file.resolve(), ReadOptions(**said), ShopFacts(), Path(folder))
        except SourceError as error:
            fail(str(error))
        note(f"{report.file}: {report.balance}")
        for count in report.quarantine:
            note(f"  {count.field}: {count.reason} ({count.rows:,} rows)")
        for notice in report.notices:
            note(f"  {notice}")
        if report.last_date is None:
            fail(f"{report.file}: no row could be used, for the reasons above")
        yield orders(lines), report.last_date


@app.command()
def train(
    transactions: TransactionsOption,
    model: Annotated[Path, typer.Option(metavar="DIR", help="Where the model is written.")],
    as_of: AsOfOption = None,
    seed: Annotated[int, typer.Option(help="The same data and seed give the same model.", min=0)] = 7,
    column: ColumnOption = None,
    date_format: DateFormatOption = None,
    decimal: DecimalOption = None,
    thousands: ThousandsOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model of customer values on a file of transactions.

    Example: audience-pipeline ltv train --transactions orders.csv --model model/
    """
    from audience_pipeline.ltv.minimum import TooLittleHistory
    from audience_pipeline.ltv.training import train as fit

    said = reading(column, date_format, decimal, thousands, encoding, delimiter)
    with _orders(transactions, said) as (lines, last), progress("train") as step:
        day = as_of.date() if as_of else last
        try:
            trained = fit(lines, day, seed=seed, progress=lambda what, share: step(f"{what} ({share:.0%})"))
        except TooLittleHistory as error:
            fail(str(error))
    trained.model.save(model)
    (model / "report.json").write_text(trained.report.as_json(), encoding="utf-8")
    report = trained.report.as_dict()
    if as_json:
        print_json(report)
        return
    for shown in model_tables({**report, "model_version": str(model)}, None):
        out.print(shown)


@app.command()
def score(
    model: Annotated[Path, typer.Option(metavar="DIR", help="What train has written.")],
    transactions: TransactionsOption,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="Predictions: .parquet or .csv, one row a customer.")
    ],
    as_of: AsOfOption = None,
    observe_days: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Score each customer as it stood N days after its first order."
        ),
    ] = None,
    column: ColumnOption = None,
    date_format: DateFormatOption = None,
    decimal: DecimalOption = None,
    thousands: ThousandsOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
) -> None:
    """Predict the value of every customer in a file.

    Example: audience-pipeline ltv score --model model/ --transactions orders.csv --output values.parquet
    """
    from audience_pipeline.features.customer_features import customer_features
    from audience_pipeline.ltv.model import LtvModel
    from audience_pipeline.ltv.scoring import score as predict

    if output.suffix not in {".parquet", ".csv"}:
        fail(f"{output}: the suffix says how to write it; use .parquet or .csv", 2)
    if as_of is not None and observe_days is not None:
        fail("--as-of and --observe-days exclude each other", 2)
    try:
        loaded = LtvModel.load(model)
    except (OSError, ValueError, KeyError) as error:
        fail(
            f"{model}: this is no model folder ({type(error).__name__}); ltv train makes one",
            2,
        )
    said = reading(column, date_format, decimal, thousands, encoding, delimiter)
    with _orders(transactions, said) as (lines, last), progress("score"):
        day = as_of.date() if as_of else last
        if observe_days is None:
            features = customer_features(lines, day).collect(engine="streaming")
        else:
            seen = (
                lines.filter(pl.col("kind") == "order")
                .group_by("customer_id")
                .agg((pl.col("order_date").min() + pl.duration(days=observe_days)).alias("as_of"))
            )
            features = customer_features(lines, seen).collect(engine="streaming")
        predictions = predict(loaded, features, prediction_date=day, model_version=str(loaded.as_of))
        if observe_days is not None:
            days = features.select("customer_id", pl.col("as_of").alias("prediction_date"))
            predictions = (
                predictions.drop("prediction_date")
                .join(days, on="customer_id", how="left")
                .select(predictions.columns)
            )
    _write(predictions, output)
    note(f"{predictions.height:,} customers written to {output}")


def _write(frame: pl.DataFrame, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    if output.suffix == ".parquet":
        frame.write_parquet(partial)
    else:
        frame.write_csv(partial)
    partial.replace(output)


app.command()(serve)
