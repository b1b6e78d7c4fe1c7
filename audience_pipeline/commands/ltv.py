"""``audience-pipeline ltv``: train and score on a file, without a workspace."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from audience_pipeline.commands.console import JsonOption, fail, note, out, print_json, progress
from audience_pipeline.commands.ltv_evaluate import evaluate
from audience_pipeline.commands.ltv_explain import explain, model_in
from audience_pipeline.commands.ltv_models import models, promote, rollback
from audience_pipeline.commands.ltv_serve import serve
from audience_pipeline.commands.orders_file import AsOfOption, TransactionsOption, order_parts_of, orders_of
from audience_pipeline.commands.reading import Said, reads_files
from audience_pipeline.commands.value_tables import model_tables

MOST_DAYS = 36_500
"""A hundred years: beyond, a day may have no date."""

app = typer.Typer(no_args_is_help=True, help="Customer values: train, score, evaluate, serve.")


@app.command()
@reads_files
def train(
    transactions: TransactionsOption,
    model: Annotated[Path, typer.Option(metavar="DIR", help="Where the model is written.")],
    as_of: AsOfOption = None,
    seed: Annotated[int, typer.Option(help="The same data and seed give the same model.", min=0)] = 7,
    as_json: JsonOption = False,
    *,
    said: Said,
) -> None:
    """Train a model of customer values on a file of transactions.

    The folder holds the model, what is known of its quality (report.html, report.json) and the giant orders
    that it was not to learn from (outliers.csv).

    Example: audience-pipeline ltv train --transactions orders.csv --model model/
    """
    from audience_pipeline.commands.model_folder import OUTLIERS, usable, write
    from audience_pipeline.ltv.backtest import train_and_test as fit
    from audience_pipeline.ltv.html_report import html_report
    from audience_pipeline.ltv.minimum import TooLittleHistory
    from audience_pipeline.sources.files import file_name

    unusable = usable(model)
    if unusable:
        fail(unusable, 2)
    with orders_of(transactions, said) as (lines, last), progress("train") as step:
        day = as_of.date() if as_of else last
        try:
            trained = fit(lines, day, seed=seed, progress=lambda what, share: step(f"{what} ({share:.0%})"))
        except TooLittleHistory as error:
            fail(str(error))
    write(model, trained, html_report(trained.report, source=file_name(transactions)))
    report = trained.report.as_dict()
    if as_json:
        print_json(report | {"outliers": trained.outliers.to_dicts()})
        return
    if trained.outliers.height:
        note(
            f"{trained.outliers.height} orders and returns above {report['summary']['outlier_above']:,.0f} "
            f"are outliers: training took them for ordinary ones; they are listed in {model / OUTLIERS}"
        )
    for shown in model_tables({**report, "model_version": str(model)}, None):
        out.print(shown)


@app.command()
@reads_files
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
            metavar="N",
            min=0,
            max=MOST_DAYS,
            help="Score each customer as it stood N days after its first order.",
        ),
    ] = None,
    reasons: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Why as well: .parquet or .csv, one row a customer and reason, up to three each.",
        ),
    ] = None,
    *,
    said: Said,
) -> None:
    """Predict the value of every customer in a file.

    Example: audience-pipeline ltv score --model model/ --transactions orders.csv --output values.parquet
    """
    from audience_pipeline.ltv.reasons import REASONS_SCHEMA, reasons_table
    from audience_pipeline.ltv.scoring import score_in_parts

    for file in (output, *([reasons] if reasons else [])):
        if file.suffix not in {".parquet", ".csv"}:
            fail(f"{file}: the suffix says how to write it; use .parquet or .csv", 2)
    if reasons is not None and reasons.resolve() == output.resolve():
        fail(f"{reasons}: predictions and reasons need a file each", 2)
    if as_of is not None and observe_days is not None:
        fail("--as-of and --observe-days exclude each other", 2)
    loaded, told = model_in(model), [REASONS_SCHEMA.to_frame()]
    with order_parts_of(transactions, said) as (parts, last, _), progress("score") as step:
        predictions = score_in_parts(
            loaded,
            parts,
            as_of=as_of.date() if as_of else last,
            observe_days=observe_days,
            model_version=str(loaded.as_of),
            progress=lambda customers: step(f"{customers:,} customers"),
            also=(lambda features: told.append(reasons_table(loaded, features))) if reasons else None,
        )
    _write(predictions, output)
    note(f"{predictions.height:,} customers written to {output}")
    _say_what_was_not_seen(predictions, as_of.date() if as_of else last, last, observe_days)
    if reasons is not None:
        table = pl.concat(told).sort("customer_id", "rank")
        _write(table, reasons)
        note(f"{table.height:,} reasons written to {reasons}")


def _say_what_was_not_seen(
    predictions: pl.DataFrame, day: date, last: date, observe_days: int | None
) -> None:
    """Whom nothing could be predicted of, and days that are taken for quiet as the file ends before them."""
    later = predictions.filter(pl.col("prediction_date") > last).height
    if predictions.is_empty():
        note(f"Nobody had ordered anything by {day}.")
    elif later and observe_days is not None:
        note(
            f"{later:,} of them had not been seen for {observe_days:,} days when the file ends, on {last}: "
            "what is missing counts as days without an order."
        )
    elif later:
        note(f"The file ends on {last}: the days after it count as days without an order.")


def _write(frame: pl.DataFrame, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    if output.suffix == ".parquet":
        frame.write_parquet(partial)
    else:
        frame.write_csv(partial)
    partial.replace(output)


app.command()(evaluate)
app.command()(explain)
app.command()(serve)
app.command()(models)
app.command()(rollback)
app.command()(promote)
