"""``audience-pipeline ltv evaluate``: how good predictions are on customers that the model never saw."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audience_pipeline.commands.console import JsonOption, fail, note, out, print_json, progress
from audience_pipeline.commands.orders_file import AsOfOption, TransactionsOption, orders_of
from audience_pipeline.commands.reading import Said, reads_files
from audience_pipeline.commands.value_tables import evaluation_tables

if TYPE_CHECKING:
    import polars as pl

    from audience_pipeline.commands.console import Step
    from audience_pipeline.ltv.report import Report

AGES = (0, 30, 90, 180)
LAST_AGE = 363
"""On day 364 the first year is over and its value known."""


@reads_files
def evaluate(
    transactions: TransactionsOption,
    observe_days: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=0,
            max=LAST_AGE,
            help="Check customers as they stood N days after their first order; repeatable. "
            "Without it: 0, 30, 90 and 180.",
            show_default=False,
        ),
    ] = None,
    holdout_customers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Customers to hold out of training.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draw and the model.", min=0)] = 7,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the report as one page as well.")
    ] = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    *,
    said: Said,
) -> None:
    """Train without some customers, predict them, and compare with what they really spent.

    Example: audience-pipeline ltv evaluate --transactions orders.csv --observe-days 30 --report check.html
    """
    from audience_pipeline.ltv.html_report import html_report
    from audience_pipeline.ltv.minimum import TooLittleHistory
    from audience_pipeline.sources.files import file_name

    if report is not None and report.suffix not in {".html", ".htm"}:
        fail(f"{report}: the report is an HTML page; use the suffix .html", 2)
    ages = tuple(sorted(set(observe_days or AGES)))
    with orders_of(transactions, said) as (lines, last), progress("evaluate") as step:
        day = as_of.date() if as_of else last
        try:
            found = _found(lines, day, ages, holdout_customers, seed, step)
        except TooLittleHistory as error:
            fail(str(error))
    if report is not None:
        title = "Customer values, checked on customers held out"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(html_report(found, title=title, source=file_name(transactions)), encoding="utf-8")
        note(f"Report written to {report}")
    if as_json:
        print_json(found.as_dict())
        return
    for shown in evaluation_tables(found.as_dict()):
        out.print(shown)


def _found(
    lines: pl.LazyFrame, day: date, ages: tuple[int, ...], wanted: int, seed: int, step: Step
) -> Report:
    from audience_pipeline.ltv.backtest import hold_out, later_cohort
    from audience_pipeline.ltv.holdout import checkable, drawn, spared
    from audience_pipeline.ltv.report import build_report
    from audience_pipeline.ltv.report_tables import table_of

    candidates = checkable(lines, day)
    held_out = drawn(candidates, min(wanted, spared(lines, day, candidates.len())), seed)
    if held_out.len() < wanted:
        note(
            f"{candidates.len():,} customers have been seen for long enough to be checked, so "
            f"{held_out.len():,} instead of {wanted:,} are held out: the others are needed to learn from."
        )
    held = hold_out(
        lines, day, held_out, ages, seed=seed, progress=lambda what, share: step(f"{what} ({share:.0%})")
    )
    gone = [str(age) for age in ages if age not in set(held.ltv["age_days"].to_list())]
    if gone:
        note(f"Nobody could be checked at {', '.join(gone)} days: the windows to check on end earlier.")
    later = later_cohort(
        lines, day, seed=seed, progress=lambda what, share: step(f"later cohort: {what} ({share:.0%})")
    )
    if later is None:
        note("The data are too short for a check on a later cohort, which needs some 27 months.")
    summary = {"as_of": day, "holdout_customers": held_out.len(), "checkable_customers": candidates.len()}
    summary |= {"observe_days": list(ages), "seed": seed}
    return build_report(held=held, later=later, importances=table_of("importances", []), summary=summary)
