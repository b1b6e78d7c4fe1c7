from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import registry
from audience_pipeline.ltv.report import Report
from audience_pipeline.ltv.training import Trained

AS_OF = date(2025, 3, 31)
ACTIVITY = pl.DataFrame(
    {"customer_id": ["a"], "activity_date": [AS_OF], "activity": ["web:page_view"], "events": [1]}
)


def test_the_fingerprint_sees_rows_and_not_their_order(shop_orders: pl.DataFrame) -> None:
    found = registry.fingerprint(shop_orders.lazy(), AS_OF)

    mixed = shop_orders.sample(fraction=1, shuffle=True, seed=5)
    later = shop_orders.with_columns(pl.lit(AS_OF + timedelta(days=1)).alias("order_date"))
    assert registry.fingerprint(mixed.lazy(), AS_OF) == found
    assert registry.fingerprint(pl.concat([shop_orders, later]).lazy(), AS_OF) == found
    changed = shop_orders.with_columns(pl.col("amount_minor") + (pl.col("order_id") == "o7"))
    assert registry.fingerprint(changed.lazy(), AS_OF) != found
    assert registry.fingerprint(shop_orders.head(-1).lazy(), AS_OF) != found
    assert registry.fingerprint(shop_orders.lazy(), AS_OF, ACTIVITY.lazy()) != found


def test_a_recipe_changes_with_whatever_changes_the_model(shop_orders: pl.DataFrame) -> None:
    recipe = registry.recipe_of(shop_orders.lazy(), AS_OF)

    assert registry.recipe_of(shop_orders.lazy(), AS_OF).digest == recipe.digest
    assert registry.recipe_of(shop_orders.lazy(), AS_OF, seed=8).digest != recipe.digest
    assert registry.recipe_of(shop_orders.lazy(), AS_OF - timedelta(days=1)).digest != recipe.digest


@pytest.mark.filterwarnings("ignore")
def test_a_model_is_registered_once_and_comes_back_as_champion(
    trained: Trained, shop_orders: pl.DataFrame, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    recipe = registry.recipe_of(shop_orders.lazy(), AS_OF)
    older = registry.Recipe(AS_OF - timedelta(days=31), "other", recipe.code, recipe.parameters)
    assert registry.champion(uri, tmp_path / "cache") is None
    assert registry.find(uri, recipe) is None

    first = registry.register(trained, recipe, tracking_uri=uri, artifacts=tmp_path / "artifacts")
    again = registry.register(trained, recipe, tracking_uri=uri, artifacts=tmp_path / "artifacts")
    backfilled = registry.register(trained, older, tracking_uri=uri, artifacts=tmp_path / "artifacts")

    assert (first.version, first.created) == ("1", True)
    assert (again.version, again.run_id, again.created) == ("1", first.run_id, False)
    assert (backfilled.version, backfilled.created) == ("2", True)
    found = registry.champion(uri, tmp_path / "cache")
    assert found is not None
    assert found.version == "1"
    features = customer_features(shop_orders.lazy(), AS_OF).collect()
    assert found.model.predict(features).equals(trained.model.predict(features))
    assert Report.from_dict(found.report).as_json() == trained.report.as_json()
    earlier = registry.known_on(uri, tmp_path / "cache", AS_OF - timedelta(days=1))
    assert earlier is not None
    assert earlier.version == "2"
    assert registry.known_on(uri, tmp_path / "cache", date(2024, 1, 1)) is None
    assert registry.read(uri, tmp_path / "cache", "1").version == "1"

    from mlflow.tracking import MlflowClient

    run = MlflowClient(tracking_uri=uri).get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["data"] == recipe.data
    assert run.data.params["as_of"] == "2025-03-31"
    assert run.data.metrics["customers"] == 1500
    assert "ltv_30d_predicted_ltv_gini" in run.data.metrics
    names = {file.path for file in MlflowClient(tracking_uri=uri).list_artifacts(first.run_id)}
    expected = {"calibration.png", "feature_importance.csv", "model", "quintiles.png", "report.json"}
    assert names == expected


def test_a_registry_whose_making_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    """MLflow migrates an empty database in many steps, and cannot go on from the middle."""
    database = tmp_path / "mlflow" / "mlflow.db"
    uri = f"sqlite:///{database}"
    (tmp_path / "mlflow" / "tmpdead").mkdir(parents=True)
    (tmp_path / "mlflow" / "tmpdead" / "fresh.db").write_bytes(b"half")

    registry.prepare(uri)
    made = database.read_bytes()
    registry.prepare(uri)

    assert database.read_bytes() == made
    assert registry.champion(uri, tmp_path / "cache") is None
