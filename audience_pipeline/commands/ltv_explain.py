"""``audience-pipeline ltv explain``: why one customer is predicted what it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.markup import escape

from audience_pipeline.commands.console import JsonOption, fail, out, print_json, table
from audience_pipeline.commands.orders_file import AsOfOption, TransactionsOption, order_parts_of
from audience_pipeline.commands.reading import Said, reads_files
from audience_pipeline.commands.tables import number, percent

if TYPE_CHECKING:
    from audience_pipeline.ltv.model import LtvModel


@reads_files
def explain(
    model: Annotated[Path, typer.Option(metavar="DIR", help="What train has written.")],
    transactions: TransactionsOption,
    customer: Annotated[str, typer.Option(metavar="ID", help="As in the column customer_id of the file.")],
    as_of: AsOfOption = None,
    count: Annotated[int, typer.Option(help="The most reasons that are told.", min=1)] = 3,
    as_json: JsonOption = False,
    *,
    said: Said,
) -> None:
    """Say why a customer is predicted what it is.

    Example: audience-pipeline ltv explain --model model/ --transactions orders.csv --customer C-1047
    """
    from audience_pipeline.features.customer_features import customer_features
    from audience_pipeline.ltv.reasons import reasons_table
    from audience_pipeline.ltv.scoring import score
    from audience_pipeline.sources.files import file_name

    loaded, customer = model_in(model), _landed(customer)
    with order_parts_of(transactions, said) as (parts, last, _):
        day = as_of.date() if as_of else last
        orders = _orders_of(parts, customer)
    if orders is None:
        fail(
            f"{file_name(transactions)}: no usable row has the customer_id {customer!r}; look at its "
            "spelling, and at what could not be used"
        )
    features = customer_features(orders.lazy(), day).collect()
    if features.is_empty():
        ordered = orders.filter(pl.col("kind") == "order")["order_date"].to_list()
        when = f"its first order is of {min(ordered)}" if ordered else "there are returns only"
        fail(f"{file_name(transactions)}: customer {customer} has no order up to {day}: {when}")
    [prediction] = score(
        loaded, features, prediction_date=day, model_version=str(loaded.as_of), quintile_by="cut_points"
    ).to_dicts()
    why = reasons_table(loaded, features, count)
    if as_json:
        print_json({**prediction, "reasons": why.drop("customer_id").to_dicts()})
        return
    _print(customer, day, prediction, why)


def model_in(folder: Path) -> LtvModel:
    """The model of a folder; ends the command where there is none."""
    from audience_pipeline.ltv.model import LtvModel

    try:
        return LtvModel.load(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if type(error) is ValueError:
            fail(str(error), 2)
        fail(f"{folder}: this is no model folder ({type(error).__name__}); ltv train makes one", 2)


def _landed(customer: str) -> str:
    """The id as a file lands it: one that looks personal is a pseudonym."""
    from audience_pipeline.identifiers import looks_personal, pseudonym
    from audience_pipeline.sources.values import identifier, trimmed

    known = identifier(trimmed(customer) or "")
    return pseudonym(known) if looks_personal(known) else known


def _orders_of(parts: Iterator[pl.DataFrame], customer: str) -> pl.DataFrame | None:
    for part in parts:
        own = part.filter(pl.col("customer_id") == customer)
        if own.height:
            return own
    return None


def _print(customer: str, day: date, prediction: dict[str, Any], why: pl.DataFrame) -> None:
    from audience_pipeline.ltv.snapshots import LAST_AGE

    over = prediction["age_days"] >= LAST_AGE
    spent = f"{number(prediction['observed_value'], 2)} spent in {number(prediction['age_days'])} days"
    out.print(f"[bold]Customer {escape(customer)}[/] as of {day}: {spent}")
    if over:
        out.print(
            f"  12-month LTV   {number(prediction['predicted_ltv'], 2)} (a fact: the first year is over)"
        )
    else:
        out.print(
            f"  12-month LTV   {number(prediction['predicted_ltv'], 2)} on average; "
            f"{number(prediction['likely_ltv'], 2)} is the value most often within 30 % of the truth "
            f"({percent(prediction['within_30_probability'])}, confidence {prediction['confidence']}); one "
            f"customer in ten ends above {number(prediction['ltv_p90'], 2)}, at most one in ten below "
            f"{number(prediction['ltv_p10'], 2)}",
            soft_wrap=True,
        )
    out.print(
        f"  next 12 months {number(prediction['next_12m_value'], 2)}; orders again with "
        f"{percent(prediction['repeat_probability'])}; LTV quintile {prediction['ltv_quintile']}"
    )
    if why.is_empty():
        out.print("  Nothing sets this customer apart from a typical one.")
        return
    what = "next 12 months" if over else "rest of the first year"
    rows = [(str(row["rank"]), row["reason"]) for row in why.to_dicts()]
    caption = "What each changes of the value still to come, beside that of a typical customer."
    out.print(table(f"Why: {what}", {"": "right", "reason": "left"}, rows, caption=caption))
