"""Why customers are predicted what they are."""

import dagster as dg
import polars as pl

from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence
from audience_pipeline.ltv import registry
from audience_pipeline.ltv.reasons import REASONS_SCHEMA, frequent_topics, reasons_table
from audience_pipeline.settings import Settings

REASONS = 3
"""The most reasons of a customer."""


def reasons_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """ltv_reasons, by as-of date."""

    @dg.asset(
        group_name="ltv",
        partitions_def=calendar.daily,
        kinds={"lightgbm", "parquet"},
        owners=["team:analytics"],
    )
    def ltv_reasons(
        context: dg.AssetExecutionContext, customer_features: pl.DataFrame, ltv_predictions: pl.DataFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """Up to three reasons of each customer's predicted value, in plain words, with what each changes of
        the value still to come beside that of a typical customer: SHAP values of the model that made the
        predictions. Of customers whose first year is over they explain next_12m_value. One row per customer
        and reason; empty where there is no model.
        """
        version = ltv_predictions["model_version"].drop_nulls().first()
        table = REASONS_SCHEMA.to_frame()
        if version is not None:
            known = registry.read(settings.mlflow_uri, settings.models, str(version))
            base = customer_features.sort("customer_id")
            table = reasons_table(known.model, base, REASONS, threads=settings.threads)
        seen = landing_sequence(settings.lake, context.partition_key, "customer_features", "ltv_predictions")
        return dg.MaterializeResult(
            value=table,
            metadata={
                LANDING_SEQUENCE: seen,
                "model_version": str(version or "none"),
                "customers_with_a_reason": table["customer_id"].n_unique(),
                "most_frequent_by_quintile": small_table(frequent_topics(table, ltv_predictions)),
            },
        )

    return ltv_reasons
