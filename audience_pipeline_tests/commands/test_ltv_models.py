from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from audience_pipeline.ltv import promotion
from audience_pipeline.ltv.store import CHAMPION, MODEL_NAME, prepare
from audience_pipeline.ltv.verdict import Figure, Verdict, first_of_all
from audience_pipeline_tests.commands.conftest import Run

FIGURE = Figure("Tweedie deviance of predicted_ltv", "lower", 10.0, 9.0, -1.0, -1.5, -0.4, rules=True)
BETTER = Verdict(promoted=True, reason="Better than version 1 beyond noise.", champion="1", figures=(FIGURE,))
ALIKE = Verdict(promoted=False, reason="Not better beyond noise.", champion="2", figures=(FIGURE,))


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A registry of three versions, the second of them champion. Listings read no model file."""
    folder = tmp_path_factory.mktemp("registered")
    uri = f"sqlite:///{folder}/mlflow.db"
    prepare(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment(MODEL_NAME, (folder / "artifacts").as_uri())
    client.create_registered_model(MODEL_NAME)
    for month, verdict in enumerate((first_of_all(), BETTER, ALIKE), start=1):
        run = client.create_run(experiment)
        client.log_metric(run.info.run_id, "customers", 1000 * month)
        client.log_metric(run.info.run_id, "ltv_30d_predicted_ltv_gini", 0.5 + month / 100)
        made = client.create_model_version(
            MODEL_NAME, source=f"runs:/{run.info.run_id}/model", run_id=run.info.run_id,
            tags={"as_of": date(2026, month, 28).isoformat(), "verdict": json.dumps(verdict.as_dict())},
        )  # fmt: skip
        promotion.apply_verdict(client, str(made.version), verdict)
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def shop(registered: bytes, tmp_path: Path) -> Path:
    """A workspace with that registry, whose newest date was predicted by the champion."""
    home = tmp_path / "shop"
    (home / "mlflow").mkdir(parents=True)
    (home / "mlflow" / "mlflow.db").write_bytes(registered)
    note = home / "lake" / "ltv_predictions" / "2026-03-31.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"model_version": "2"}))
    return home


def champion(shop: Path) -> str:
    client = MlflowClient(registry_uri=f"sqlite:///{shop}/mlflow/mlflow.db")
    return str(client.get_registered_model(MODEL_NAME).aliases[CHAMPION])


def test_models_are_listed_with_state_figures_and_verdict(run: Run, shop: Path) -> None:
    rows = run("ltv", "models", "--dir", shop, "--json").json

    assert [(row["version"], row["as_of"], row["state"]) for row in rows] == [
        ("3", "2026-03-28", "challenger"),
        ("2", "2026-02-28", "champion"),
        ("1", "2026-01-28", "former"),
    ]
    assert rows[0]["gini"] == pytest.approx(0.53)
    assert rows[0]["verdict"] == "Not better beyond noise."
    assert rows[1]["figures"][0]["name"] == "Tweedie deviance of predicted_ltv"
    assert rows[1]["aliases"] == ["champion"]


def test_the_table_shows_the_same(run: Run, shop: Path) -> None:
    said = run("ltv", "models", "--dir", shop)

    assert said.code == 0
    for word in ("challenger", "champion", "former", "2026-03-28", "0.530", "Better than version 1"):
        assert word in said.out


def test_a_rollback_says_what_it_did_and_how_the_predictions_follow(run: Run, shop: Path) -> None:
    said = run("ltv", "rollback", "--dir", shop)

    assert said.code == 0
    assert said.out.strip() == "Version 1 is the champion now; it was version 2."
    assert "The newest predictions, of 2026-03-31, are of version 2." in said.err
    assert "audience-pipeline refresh" in said.err
    assert champion(shop) == "1"
    states = {row["version"]: row["state"] for row in run("ltv", "models", "--dir", shop, "--json").json}
    assert states == {"3": "challenger", "2": "rolled back", "1": "champion"}


def test_a_rollback_to_a_version_twice_says_that_nothing_was_changed(run: Run, shop: Path) -> None:
    first = run("ltv", "rollback", "--to", "1", "--dir", shop, "--json").json
    second = run("ltv", "rollback", "--to", "1", "--dir", shop, "--json").json

    assert first == {"before": "2", "champion": "1", "changed": True, "to_predict_again": ["2026-03-31"]}
    assert second == {**first, "before": "1", "changed": False}


def test_a_rollback_behind_the_first_champion_is_refused(run: Run, shop: Path) -> None:
    run("ltv", "rollback", "--dir", shop)

    said = run("ltv", "rollback", "--dir", shop)

    assert said.code == 1
    assert "there is no champion before version 1" in said.err
    assert champion(shop) == "1"


def test_a_rollback_to_what_never_was_champion_names_the_command_for_it(run: Run, shop: Path) -> None:
    said = run("ltv", "rollback", "--to", "3", "--dir", shop)

    assert said.code == 1
    assert "version 3 was not champion before version 2; earlier champions: 1" in said.err
    assert "audience-pipeline ltv promote 3" in said.err


def test_a_rollback_to_a_version_that_is_not_there_says_which_there_are(run: Run, shop: Path) -> None:
    said = run("ltv", "rollback", "--to", "7", "--dir", shop)

    assert said.code == 1
    assert "there is no version 7; there are: 1, 2, 3" in said.err
    assert "promote" not in said.err
    assert champion(shop) == "2"


def test_a_challenger_can_be_promoted_and_the_promotion_taken_back(run: Run, shop: Path) -> None:
    said = run("ltv", "promote", "3", "--dir", shop)

    assert said.out.strip() == "Version 3 is the champion now; it was version 2."
    assert champion(shop) == "3"
    assert run("ltv", "rollback", "--dir", shop, "--json").json["champion"] == "2"


def test_promoting_the_champion_or_nothing_is_said(run: Run, shop: Path) -> None:
    assert "the champion already; nothing was changed" in run("ltv", "promote", "2", "--dir", shop).out
    missing = run("ltv", "promote", "12", "--dir", shop)
    assert missing.code == 1
    assert "there is no version 12; there are: 1, 2, 3" in missing.err


@pytest.mark.parametrize("words", [("models",), ("rollback",), ("promote", "1")])
def test_a_workspace_without_models_says_how_to_get_one(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = run("ltv", *words, "--dir", tmp_path / "empty")

    assert said.code == 1
    assert "no value model has been trained here yet; audience-pipeline train does" in said.err
    assert not (tmp_path / "empty").exists()
