from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mlflow.tracking import MlflowClient

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import promotion, registry
from audience_pipeline.ltv.champion_history import NoSuchChampionError
from audience_pipeline.ltv.drift import Reference
from audience_pipeline.ltv.recipe import Recipe, recipe_of
from audience_pipeline.ltv.report import Report
from audience_pipeline.ltv.store import CHALLENGER, CHAMPION, MODEL_NAME, exists, prepare
from audience_pipeline.ltv.training import Trained
from audience_pipeline.ltv.verdict import Figure, Verdict, backfilled, first_of_all

AS_OF = date(2025, 3, 31)
NEXT = date(2025, 4, 30)
FIGURE = Figure("Tweedie deviance of predicted_ltv", "lower", 10.0, 10.1, 0.1, -0.2, 0.4, rules=True)
LOST = Verdict(promoted=False, reason="Not better.", champion="1", customers=300, figures=(FIGURE,))
WON = replace(LOST, promoted=True, reason="Better.")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The database of a registry that holds nothing: making one takes seconds."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    prepare(f"sqlite:///{path}")
    return path.read_bytes()


class Registry:
    """A registry of its own, and the trainings that are put into it."""

    def __init__(self, folder: Path, trained: Trained, orders: pl.DataFrame) -> None:
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.cache, self.artifacts = folder / "cache", folder / "artifacts"
        self.trained = trained
        self.recipe = recipe_of(orders.lazy(), AS_OF)

    def made(self, as_of: date, data: str = "data") -> Recipe:
        return replace(self.recipe, as_of=as_of, data=data)

    def put(self, recipe: Recipe, verdict: Verdict, **more: Any) -> registry.Registered:
        return registry.register(
            self.trained, recipe, verdict, tracking_uri=self.uri, artifacts=self.artifacts, **more
        )

    @property
    def aliases(self) -> dict[str, str]:
        found = MlflowClient(tracking_uri=self.uri).get_registered_model(MODEL_NAME).aliases
        return {alias: str(version) for alias, version in found.items()}


@pytest.fixture
def kept(trained: Trained, shop_orders: pl.DataFrame, empty: bytes, tmp_path: Path) -> Registry:
    (tmp_path / "mlflow.db").write_bytes(empty)
    return Registry(tmp_path, trained, shop_orders)


@pytest.mark.filterwarnings("ignore")
def test_a_model_is_registered_once_and_comes_back_as_champion(
    kept: Registry, shop_orders: pl.DataFrame
) -> None:
    assert registry.champion(kept.uri, kept.cache) is None
    assert registry.current_champion(kept.uri) is None
    assert registry.newest_as_of(kept.uri) is None
    assert registry.find(kept.uri, kept.recipe) is None
    features = customer_features(shop_orders.lazy(), AS_OF).collect()
    reference = Reference.of(features, kept.trained.model.predict(features), AS_OF)

    first = kept.put(kept.recipe, first_of_all(), reference=reference, html="<p>as a page</p>")
    again = kept.put(kept.recipe, first_of_all())

    assert (first.version, first.created) == ("1", True)
    assert (again.version, again.run_id, again.created) == ("1", first.run_id, False)
    found = registry.champion(kept.uri, kept.cache)
    assert found is not None
    assert found.version == "1"
    assert found.model.predict(features).equals(kept.trained.model.predict(features))
    assert Report.from_dict(found.report).as_json() == kept.trained.report.as_json()
    assert found.reference == reference
    assert found.verdict == first_of_all()
    assert (found.folder / "report.html").read_text() == "<p>as a page</p>"
    client = MlflowClient(tracking_uri=kept.uri)
    run = client.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["data"] == kept.recipe.data
    assert run.data.params["as_of"] == "2025-03-31"
    assert run.data.metrics["customers"] == 1500
    assert "ltv_30d_predicted_ltv_gini" in run.data.metrics
    names = {file.path for file in client.list_artifacts(first.run_id)}
    pictures = {name for name in names if name.endswith(".png")}
    assert names - pictures == {
        *("drift_reference.json", "feature_importance.csv", "model"),
        *("report.html", "report.json", "verdict.json"),
    }
    assert pictures > {"calibration.png", "quintiles.png", "reliability.png"}


def test_a_challenger_that_lost_is_kept_beside_the_champion_with_its_verdict(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())

    kept.put(kept.made(NEXT), LOST)

    assert kept.aliases == {CHAMPION: "1", CHALLENGER: "2"}
    [challenger, champion] = registry.versions(kept.uri)
    assert (challenger.aliases, challenger.as_of, challenger.verdict) == (("challenger",), NEXT, LOST)
    assert (champion.aliases, champion.as_of) == (("champion",), AS_OF)
    assert champion.metrics["customers"] == 1500
    client = MlflowClient(tracking_uri=kept.uri)
    run = client.get_run(challenger.run_id)
    assert (run.data.tags["promoted"], run.data.tags["verdict"]) == ("false", "Not better.")
    path = client.download_artifacts(challenger.run_id, "verdict.json")
    assert Verdict.from_dict(json.loads(Path(path).read_text())) == LOST
    assert registry.version_on(kept.uri, NEXT) == "1", "the newer one predicts nothing"


def test_a_challenger_that_won_is_champion_and_challenges_nobody(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())
    kept.put(kept.made(NEXT), LOST)

    kept.put(kept.made(NEXT, "more data"), WON)

    assert kept.aliases == {CHAMPION: "3", CHALLENGER: "2"}
    assert promotion.champion_history(kept.uri).line == ("1", "3")


def test_a_backfill_replaces_no_champion_and_predicts_the_dates_before(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())
    earlier = AS_OF - timedelta(days=31)

    kept.put(kept.made(earlier), backfilled("1", AS_OF, earlier))

    assert kept.aliases == {CHAMPION: "1"}
    assert registry.version_on(kept.uri, AS_OF) == "1"
    assert registry.version_on(kept.uri, AS_OF - timedelta(days=1)) == "2"
    assert registry.version_on(kept.uri, date(2024, 1, 1)) is None
    assert registry.known_on(kept.uri, kept.cache, date(2024, 1, 1)) is None
    known = registry.known_on(kept.uri, kept.cache, earlier)
    assert known is not None
    assert known.version == "2"


def test_a_rollback_makes_the_one_before_champion_and_the_same_recipe_stays_back(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())
    kept.put(kept.made(NEXT), WON)

    assert promotion.roll_back(kept.uri) == ("2", "1")

    again = kept.put(kept.made(NEXT), WON)
    assert (again.version, again.created) == ("2", False)
    assert kept.aliases == {CHAMPION: "1"}
    assert [version.withdrawn for version in registry.versions(kept.uri)] == [True, False]
    assert [change.how for change in promotion.champion_history(kept.uri).changes] == [
        "trained", "trained", "rolled back",
    ]  # fmt: skip
    with pytest.raises(NoSuchChampionError, match="no champion before version 1"):
        promotion.roll_back(kept.uri)
    assert promotion.roll_back(kept.uri, "1") == ("1", "1")


def test_a_version_that_was_rolled_back_from_comes_last_for_earlier_dates_too(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())
    kept.put(kept.made(NEXT), WON)
    later = NEXT + timedelta(days=31)
    promotion.roll_back(kept.uri)
    kept.put(kept.made(later), WON)

    assert registry.version_on(kept.uri, NEXT) == "1"
    assert registry.version_on(kept.uri, later) == "3"


def test_any_version_can_be_made_champion_by_hand(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())
    kept.put(kept.made(NEXT), LOST)

    assert promotion.promote(kept.uri, "2") == ("1", "2")

    assert kept.aliases == {CHAMPION: "2"}
    promotion.roll_back(kept.uri)
    promotion.promote(kept.uri, "2")
    assert not registry.versions(kept.uri)[0].withdrawn
    with pytest.raises(NoSuchChampionError, match="there is no version 9; there are: 1, 2"):
        promotion.promote(kept.uri, "9")


def test_a_champion_that_was_moved_in_mlflow_can_be_rolled_back_from(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())
    kept.put(kept.made(NEXT), LOST)
    MlflowClient(tracking_uri=kept.uri).set_registered_model_alias(MODEL_NAME, CHAMPION, "2")

    assert promotion.roll_back(kept.uri) == ("2", "1")


def test_a_registration_that_was_killed_before_its_verdict_was_carried_out_is_finished(
    kept: Registry,
) -> None:
    kept.put(kept.recipe, first_of_all())
    made = kept.put(kept.made(NEXT), LOST)
    client = MlflowClient(tracking_uri=kept.uri)
    client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
    client.delete_model_version_tag(MODEL_NAME, made.version, promotion.VERDICT_APPLIED)

    assert registry.find(kept.uri, kept.made(NEXT)) is not None

    assert kept.aliases == {CHAMPION: "1", CHALLENGER: "2"}


def test_a_version_of_another_format_is_refused_with_the_remedy(kept: Registry) -> None:
    kept.put(kept.recipe, first_of_all())
    known = registry.read(kept.uri, kept.cache, "1")
    path = known.folder / "model" / "model.json"
    path.write_text(json.dumps({"format": 0}))

    with pytest.raises(registry.UnusableModelError, match=r"version 1 cannot be read .*pipeline train"):
        registry.read(kept.uri, kept.cache, "1")


def test_rolling_back_before_any_training_says_what_to_do(kept: Registry) -> None:
    with pytest.raises(NoSuchChampionError, match="no champion before the first model"):
        promotion.roll_back(kept.uri)


def test_a_registry_whose_making_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    """MLflow migrates an empty database in many steps, and cannot go on from the middle."""
    database = tmp_path / "mlflow" / "mlflow.db"
    uri = f"sqlite:///{database}"
    (tmp_path / "mlflow" / "tmpdead").mkdir(parents=True)
    (tmp_path / "mlflow" / "tmpdead" / "fresh.db").write_bytes(b"half")
    assert not exists(uri)

    prepare(uri)
    made = database.read_bytes()
    prepare(uri)

    assert exists(uri)
    assert database.read_bytes() == made
    assert registry.champion(uri, tmp_path / "cache") is None
