from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from audience_pipeline.cli import app
from audience_pipeline.sandbox.shop import ShopParameters, make_shop
from audience_pipeline_tests.commands.conftest import Run

pytestmark = pytest.mark.xdist_group("ltv command")
COLUMNS = [
    "customer_id",
    "prediction_date",
    "model_version",
    "age_days",
    "observed_value",
    "predicted_ltv",
    "likely_ltv",
    "ltv_p10",
    "ltv_p90",
    "within_30_probability",
    "confidence",
    "next_12m_value",
    "repeat_probability",
    "ltv_quintile",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The transactions of a small shop, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("shop")
    make_shop(folder, ShopParameters(customers=900, months=30))
    result = CliRunner().invoke(
        app,
        [
            *("ltv", "train", "--transactions", str(folder / "transactions.csv")),
            *("--model", str(folder / "model"), "--as-of", "2026-09-30", "--json"),
        ],
    )
    assert result.exit_code == 0, result.stderr
    (folder / "said.json").write_text(result.stdout)
    (folder / "said.err").write_text(result.stderr)
    return folder


def score(run: Run, shop: Path, output: str, *more: str) -> pl.DataFrame:
    said = run(
        *("ltv", "score", "--model", shop / "model", "--transactions", shop / "transactions.csv"),
        *("--output", output, *more),
    )
    assert said.code == 0, said.err
    assert said.out == ""
    return pl.read_csv(output) if output.endswith(".csv") else pl.read_parquet(output)


def test_training_prints_the_report_and_keeps_it_beside_the_model(shop: Path) -> None:
    printed = json.loads((shop / "said.json").read_text())

    assert printed == json.loads((shop / "model" / "report.json").read_text())
    assert printed["summary"]["as_of"] == "2026-09-30"
    assert {row["forecast"] for row in printed["metrics"]} > {"predicted_ltv", "likely_ltv"}
    page = (shop / "model" / "report.html").read_text()
    assert "transactions.csv" in page
    assert printed["summary"]["headlines"][0] in page


def test_what_could_not_be_used_is_said_beside_the_result(shop: Path) -> None:
    said = (shop / "said.err").read_text()

    assert "transactions.csv:" in said
    assert "customer_id: empty" in said


def test_scoring_writes_one_row_a_customer_with_the_columns_of_the_product(run: Run, shop: Path) -> None:
    frame = score(run, shop, "values.parquet", "--as-of", "2026-09-30")

    assert frame.columns == COLUMNS
    assert frame["customer_id"].is_unique().all()
    assert frame["customer_id"].is_sorted()
    assert 800 < frame.height < 900
    assert set(frame["ltv_quintile"]) == {1, 2, 3, 4, 5}
    assert frame.null_count().sum_horizontal().item() == 0
    assert (frame["ltv_p10"] <= frame["ltv_p90"]).all()


def test_the_suffix_decides_how_it_is_written(run: Run, shop: Path) -> None:
    parquet = score(run, shop, "values.parquet", "--as-of", "2026-09-30")
    text = score(run, shop, "values.csv", "--as-of", "2026-09-30")

    assert text.columns == parquet.columns
    assert text["predicted_ltv"].to_list() == pytest.approx(parquet["predicted_ltv"].to_list())
    assert not Path("values.csv.partial").exists()


def test_scoring_twice_gives_the_same_bytes(run: Run, shop: Path) -> None:
    score(run, shop, "one.parquet", "--as-of", "2026-09-30")
    score(run, shop, "two.parquet", "--as-of", "2026-09-30")

    assert Path("one.parquet").read_bytes() == Path("two.parquet").read_bytes()


def test_customers_can_be_scored_as_they_stood_after_some_days(run: Run, shop: Path) -> None:
    frame = score(run, shop, "values.parquet", "--observe-days", "30")

    assert set(frame["age_days"]) == {30}
    assert frame["prediction_date"].n_unique() > 100
    assert frame["observed_value"].min() >= 0 or frame["observed_value"].min() is not None


def test_a_customer_is_scored_alike_alone_and_among_others(run: Run, shop: Path, tmp_path: Path) -> None:
    everybody = score(run, shop, "all.parquet", "--as-of", "2026-09-30")
    chosen = everybody["customer_id"][17]
    lines = (shop / "transactions.csv").read_text().splitlines()
    alone = tmp_path / "alone.csv"
    alone.write_text("\n".join([lines[0], *(line for line in lines if line.startswith(f"{chosen},"))]) + "\n")

    said = run(
        *("ltv", "score", "--model", shop / "model", "--transactions", alone),
        *("--output", "one.parquet", "--as-of", "2026-09-30"),
    )

    assert said.code == 0
    assert pl.read_parquet("one.parquet").equals(everybody.filter(pl.col("customer_id") == chosen))


def test_too_little_history_ends_with_1_and_says_how_much_is_needed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("customer_id,transaction_date,transaction_amount\nc1,2026-01-01,5.00\n")

    said = run("ltv", "train", "--transactions", file, "--model", "m", "--json")

    assert said.code == 1
    assert "Too little history to train on" in said.err
    assert said.out == ""
    assert not Path("m").exists()


def test_a_file_without_a_usable_row_ends_with_1(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "useless.csv"
    file.write_text("customer_id,transaction_date,transaction_amount\n,2026-01-01,5.00\nc1,2026-02-30,1.00\n")

    said = run("ltv", "train", "--transactions", file, "--model", "m")

    assert said.code == 1
    assert "useless.csv" in said.err
