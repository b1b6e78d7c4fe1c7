from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from audience_pipeline.cli import app
from audience_pipeline.sandbox.shop import ShopParameters, make_shop
from audience_pipeline_tests.commands.conftest import Run, Said

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

    outliers = printed.pop("outliers")
    assert printed == json.loads((shop / "model" / "report.json").read_text())
    assert len(outliers) == printed["summary"]["outliers"]
    assert printed["summary"]["as_of"] == "2026-09-30"
    assert {row["forecast"] for row in printed["metrics"]} > {"predicted_ltv", "likely_ltv"}
    page = (shop / "model" / "report.html").read_text()
    assert "transactions.csv" in page
    assert printed["summary"]["headlines"][0] in page


def test_what_could_not_be_used_is_said_beside_the_result(shop: Path) -> None:
    said = (shop / "said.err").read_text()

    assert "transactions.csv:" in said
    assert "customer_id: none of customer_id, loyalty_id is given" in said


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
    assert frame["observed_value"].is_finite().all()
    assert frame["observed_value"].sum() < score(run, shop, "now.parquet")["observed_value"].sum()


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


def test_days_after_the_end_of_the_file_are_said_to_be_taken_for_quiet_ones(
    run: Run, tmp_path: Path, shop: Path
) -> None:
    file = tmp_path / "two.csv"
    file.write_text(
        "customer_id,transaction_date,transaction_amount\nc1,2026-01-01,5.00\nc2,2026-06-30,7.00\n"
    )

    def said(*more: str) -> str:
        told = run(
            *("ltv", "score", "--model", shop / "model", "--transactions", file),
            *("--output", "o.csv", *more),
        )
        assert told.code == 0
        return told.err

    assert "without an order" not in said()
    assert "the days after it count as days without an order" in said("--as-of", "2026-07-31")
    assert "1 of them had not been seen for 30 days" in said("--observe-days", "30")
    assert "Nobody had ordered anything by 2025-12-31" in said("--as-of", "2025-12-31")


def test_more_days_than_the_calendar_has_are_wrong_usage(run: Run, shop: Path) -> None:
    said = run(
        *("ltv", "score", "--model", shop / "model", "--transactions", shop / "transactions.csv"),
        *("--output", "o.csv", "--observe-days", "100000000"),
    )

    assert said.code == 2
    assert not Path("o.csv").exists()


def test_too_little_history_ends_with_1_and_says_how_much_is_needed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("customer_id,transaction_date,transaction_amount\nc1,2026-01-01,5.00\n")

    said = run("ltv", "train", "--transactions", file, "--model", "m", "--json")

    assert said.code == 1
    assert "Too little history to train on" in said.err
    assert said.out == ""
    assert not Path("m").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(run: Run, shop: Path) -> None:
    lines = shop / "transactions.csv"

    said = run("ltv", "train", "--transactions", lines, "--model", lines / "deep" / "model")

    assert said.code == 2
    assert "nothing can be written" in said.err


def test_a_file_without_a_usable_row_ends_with_1(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "useless.csv"
    file.write_text("customer_id,transaction_date,transaction_amount\n,2026-01-01,5.00\nc1,2026-02-30,1.00\n")

    said = run("ltv", "train", "--transactions", file, "--model", "m")

    assert said.code == 1
    assert "useless.csv" in said.err


def test_reasons_are_written_beside_the_predictions_and_change_nothing_in_them(run: Run, shop: Path) -> None:
    plain = score(run, shop, "plain.parquet", "--as-of", "2026-09-30")
    beside = score(run, shop, "values.parquet", "--as-of", "2026-09-30", "--reasons", "why.csv")

    assert beside.equals(plain)
    why = pl.read_csv("why.csv")
    assert why.columns == ["customer_id", "rank", "topic", "reason", "effect"]
    assert why.select("customer_id", "rank").is_unique().all()
    assert set(why["customer_id"]) <= set(plain["customer_id"])
    assert set(why["rank"]) == {1, 2, 3}
    assert why["customer_id"].n_unique() > 0.9 * plain.height
    assert why["reason"].str.contains(r": (\+|-|below -)?\d+ (%|times as much)$").all()


@pytest.mark.parametrize(
    ("reasons", "words"),
    [("why.xlsx", "why.xlsx: the suffix says how to write it"), ("o.csv", "need a file each")],
)
def test_reasons_that_cannot_be_written_are_refused_before_any_work(
    run: Run, shop: Path, reasons: str, words: str
) -> None:
    said = run(
        *("ltv", "score", "--model", shop / "model", "--transactions", shop / "transactions.csv"),
        *("--output", "o.csv", "--reasons", reasons),
    )

    assert said.code == 2
    assert words in said.err
    assert not Path("o.csv").exists()


def explained(run: Run, shop: Path, customer: str, *more: str) -> Said:
    return run(
        *("ltv", "explain", "--model", shop / "model", "--transactions", shop / "transactions.csv"),
        *("--customer", customer, "--as-of", "2026-09-30", *more),
    )


def test_a_customer_is_explained_with_its_prediction_and_its_reasons(run: Run, shop: Path) -> None:
    everybody = score(run, shop, "all.parquet", "--as-of", "2026-09-30", "--reasons", "why.parquet")
    why = pl.read_parquet("why.parquet")
    by_age = everybody.filter(pl.col("customer_id").is_in(why["customer_id"].implode())).sort("age_days")
    new, old = by_age.row(10, named=True), by_age.row(-10, named=True)

    for one, what in ((new, "rest of the first year"), (old, "next 12 months")):
        said = explained(run, shop, one["customer_id"])
        assert said.code == 0, said.err
        assert what in said.out
        assert f"{one['next_12m_value']:,.2f}" in said.out
        for reason in why.filter(pl.col("customer_id") == one["customer_id"])["reason"]:
            assert reason in said.out
    assert f"confidence {new['confidence']}" in explained(run, shop, new["customer_id"]).out
    assert "a fact" in explained(run, shop, old["customer_id"]).out

    told = explained(run, shop, new["customer_id"], "--json").json
    reasons = told.pop("reasons")
    assert told == {**new, "prediction_date": "2026-09-30", "ltv_quintile": told["ltv_quintile"]}
    assert reasons == why.filter(pl.col("customer_id") == new["customer_id"]).drop("customer_id").to_dicts()


def test_a_customer_that_is_not_there_is_told_apart_from_one_that_came_later(run: Run, shop: Path) -> None:
    nobody = explained(run, shop, "nobody")
    last = score(run, shop, "all.parquet", "--as-of", "2026-09-30").sort("age_days")["customer_id"][0]
    early = run(
        *("ltv", "explain", "--model", shop / "model", "--transactions", shop / "transactions.csv"),
        *("--customer", last, "--as-of", "2025-01-31"),
    )

    assert (nobody.code, early.code) == (1, 1)
    assert "no usable row has the customer_id 'nobody'" in nobody.err
    assert f"customer {last} has no order up to 2025-01-31: its first order is of 2026-09" in early.err
    assert nobody.out == early.out == ""


def test_a_customer_is_found_by_the_personal_name_that_the_file_has(
    run: Run, shop: Path, tmp_path: Path
) -> None:
    file = tmp_path / "named.csv"
    file.write_text("customer_id,transaction_date,transaction_amount\nann@example.com,2026-01-01,5.00\n")

    said = run(
        *("ltv", "explain", "--model", shop / "model", "--transactions", file),
        *("--customer", " Ann@example.com", "--json"),
    )

    assert said.code == 0, said.err
    assert said.json["observed_value"] == 5.0
    assert "@" not in said.out


def test_a_personal_name_is_not_repeated_even_to_whoever_asked_for_it(
    run: Run, shop: Path, tmp_path: Path
) -> None:
    file = tmp_path / "named.csv"
    file.write_text("customer_id,transaction_date,transaction_amount\nann@example.com,2026-01-01,5.00\n")

    for name, code in (("ann@example.com", 0), ("bob@example.com", 1)):
        said = run(
            *("ltv", "explain", "--model", shop / "model", "--transactions", file, "--customer", name),
        )

        assert said.code == code
        assert "@" not in said.out + said.err
