"""The value model: trained monthly, held against the champion, kept in the registry."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.identities import LANDED, histories, resolved_as_of
from audience_pipeline.defs.lake import last_order_day, write_json
from audience_pipeline.defs.pictures import picture, small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import table_path
from audience_pipeline.features.customer_features import customer_features as features_as_of
from audience_pipeline.ltv import charts, registry
from audience_pipeline.ltv.backtest import train_and_test
from audience_pipeline.ltv.challenge import is_due, judge, newest_cohort, unable
from audience_pipeline.ltv.drift import Reference, drift
from audience_pipeline.ltv.files import HTML
from audience_pipeline.ltv.html_report import html_report
from audience_pipeline.ltv.importances import with_descriptions
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.recipe import recipe_of
from audience_pipeline.ltv.report import Report
from audience_pipeline.ltv.store import prepare
from audience_pipeline.ltv.training import Trained
from audience_pipeline.ltv.verdict import Verdict, backfilled, cannot_score, first_of_all
from audience_pipeline.settings import Settings

SEED = 7


class Training(dg.Config):
    """What one training may be told."""

    as_of: str = ""
    """A later day than the last of the month, as ISO date: what an early retraining learns from as well."""


def reason_file(settings: Settings) -> Path:
    """Why nothing could be trained yet."""
    return settings.lake / "ltv_model" / "no_model.json"


def ltv_model_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """ltv_model, by month."""

    @dg.asset(
        group_name="ltv",
        partitions_def=calendar.monthly,
        deps=LANDED,
        kinds={"lightgbm", "mlflow"},
        owners=["team:analytics"],
        pool=None if settings.in_process else "training",
        check_specs=[
            dg.AssetCheckSpec(
                "there_is_enough_history",
                asset="ltv_model",
                description="500 customers, six months, and windows of at least 90 days that are over.",
            )
        ],
    )
    def ltv_model(
        context: dg.AssetExecutionContext,
        config: Training,
        orders: pl.LazyFrame,
        customer_activity: pl.LazyFrame,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        """The model of 12-month LTV and next-12-month value, trained on complete windows only, as of the
        last day of the month. Registered in MLflow as challenger; it becomes the champion where it is
        better than the current champion beyond noise.
        """
        end = calendar.month_end(context.partition_key)
        if config.as_of:
            end = max(end, date.fromisoformat(config.as_of))
        as_of = min(end, last_order_day(orders))
        with ledger.open() as opened:
            identities = resolved_as_of(settings, opened, as_of).identities
        with histories(settings, identities, orders, customer_activity) as (bought, done):
            return _model(context, settings, as_of, bought, done)

    return ltv_model


def _model(
    context: dg.AssetExecutionContext,
    settings: Settings,
    as_of: date,
    orders: pl.LazyFrame,
    activity: pl.LazyFrame,
) -> dg.MaterializeResult:
    recipe = recipe_of(orders, as_of, activity, seed=SEED)
    prepare(settings.mlflow_uri)
    known = registry.find(settings.mlflow_uri, recipe)
    if known is not None:
        return _trained(settings, known.version, as_of, new=False)
    try:
        trained = train_and_test(
            orders,
            as_of,
            activity,
            seed=SEED,
            threads=settings.threads,
            progress=lambda what, share: context.log.info("%.0f %% %s", 100 * share, what),
        )
    except TooLittleHistory as error:
        write_json(reason_file(settings), {"as_of": as_of.isoformat(), "no_model": str(error)})
        return _untrained(str(error), as_of)
    _list_outliers(settings, as_of, trained.outliers)
    base = features_as_of(orders, as_of, activity).collect(engine="streaming")
    verdict = challenged(settings, trained, base, orders, activity)
    context.log.info(verdict.reason)
    made = registry.register(
        trained,
        recipe,
        verdict,
        tracking_uri=settings.mlflow_uri,
        artifacts=settings.mlflow_artifacts,
        reference=Reference.of(base, trained.model.predict(base), as_of),
        html=html_report(trained.report, currency=settings.config.shop.currency),
    )
    return _trained(settings, made.version, as_of, new=True)


def challenged(
    settings: Settings, trained: Trained, base: pl.DataFrame, orders: pl.LazyFrame, activity: pl.LazyFrame
) -> Verdict:
    """Hold a newly trained model against the champion; ``base`` are the features of the day of training."""
    as_of = trained.model.as_of
    current = registry.current_champion(settings.mlflow_uri)
    if current is None:
        return first_of_all()
    if current.as_of > as_of:
        return backfilled(current.version, current.as_of, as_of)
    try:
        champion = registry.read(settings.mlflow_uri, settings.models, current.version)
    except registry.UnusableModelError as error:
        return cannot_score(current.version, str(error))
    due = _why_due(champion, base, as_of, settings.config.ltv.champion_days)
    giants = trained.outliers["customer_id"].unique()
    cohort = newest_cohort(trained.held.ltv, current.as_of, giants=giants, due=bool(due))
    days = cohort.rows.select("customer_id", "as_of").lazy()
    features = features_as_of(orders, days, activity).collect(engine="streaming")
    return judge(champion.model, current.version, cohort, features, as_of=as_of, due=due)


def _why_due(champion: registry.Known, base: pl.DataFrame, as_of: date, champion_days: int | None) -> str:
    """Why an equally good model of newer data should replace the champion; empty where nothing says so."""
    if is_due(champion.model.as_of, as_of, champion_days):
        return f"that one has seen no data for {(as_of - champion.model.as_of).days} days"
    try:
        moved = drift(champion.reference, base, champion.model.predict(base))
    except unable():
        return ""  # the comparison says so
    return "customers have moved away from those of its training" if moved.act else ""


def _trained(settings: Settings, version: str, as_of: date, *, new: bool) -> dg.MaterializeResult:
    known = registry.read(settings.mlflow_uri, settings.models, version)
    current = registry.current_champion(settings.mlflow_uri)
    report = Report.from_dict(known.report)
    headline = {
        f"{row['forecast']}_{name}".replace(" ", "_"): float(row[name])
        for row in _accuracy(report).to_dicts()
        for name in ("mae", "gini", "within_30", "decile_mape", "total_ratio")
        if row[name] is not None and row["forecast"] in {"predicted_ltv", "likely_ltv"}
    }
    page = known.folder / HTML
    return dg.MaterializeResult(
        metadata={
            "as_of": as_of.isoformat(),
            "model_version": known.version,
            "champion": current.version if current else "none",
            "trained_anew": new,
            **_said(known.verdict),
            **({"report": dg.MetadataValue.path(page)} if page.is_file() else {}),
            "customers": int(report.summary["customers"]),
            "training_rows": int(report.summary["training_rows"]),
            "outliers": int(report.summary.get("outliers", 0)),
            **headline,
            **{f"{name}_chart": picture(name, png) for name, png in charts.pictures(report).items()},
            "quintiles": small_table(report.quintile_table()),
            "accuracy_beside_naive_forecasts": small_table(_accuracy(report)),
            "accuracy_at_all_ages": small_table(report.metrics),
            "importances": small_table(with_descriptions(report.importances.head(30))),
        },
        check_results=[dg.AssetCheckResult(check_name="there_is_enough_history", passed=True)],
    )


def _list_outliers(settings: Settings, as_of: date, outliers: pl.DataFrame) -> None:
    """Keep the giant orders that training took for ordinary ones, for whoever wants to look at them."""
    path = table_path(settings.lake, "ltv_outliers", as_of.isoformat())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    outliers.write_parquet(partial)
    partial.replace(path)


def _said(verdict: Verdict | None) -> dict[str, dg.MetadataValue]:
    if verdict is None:
        return {}
    said: dict[str, dg.MetadataValue] = {
        "became_champion": dg.MetadataValue.bool(verdict.promoted),
        "verdict": dg.MetadataValue.text(verdict.reason),
    }
    if verdict.figures:
        said["champion_and_challenger"] = small_table(verdict.table())
    return said


def _accuracy(report: Report) -> pl.DataFrame:
    at_headline = (pl.col("target") == "ltv") & (pl.col("age_days") == report.summary["headline_age_days"])
    columns = ("forecast", "mae", "within_30", "gini", "spearman", "decile_mape", "total_ratio")
    return report.metrics.filter(at_headline).select(columns)


def _untrained(reason: str, as_of: date) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"as_of": as_of.isoformat(), "no_model": reason},
        check_results=[
            dg.AssetCheckResult(
                check_name="there_is_enough_history",
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=reason,
            )
        ],
    )
