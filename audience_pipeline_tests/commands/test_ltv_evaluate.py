from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audience_pipeline.commands import value_tables
from audience_pipeline.commands.console import out
from audience_pipeline.ltv import backtest
from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.ltv.report import build_report
from audience_pipeline_tests.commands.conftest import Run
from audience_pipeline_tests.ltv.held_frames import IMPORTANCES, make_held


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Transactions of 900 customers over two and a half years."""
    draw = np.random.default_rng(8)
    joined = draw.integers(0, 900, 900)
    who = np.repeat(np.arange(900), 1 + draw.poisson(1.5, 900))
    first = np.r_[True, who[1:] != who[:-1]]
    day = np.where(first, joined[who], joined[who] + draw.integers(1, 400, len(who)))
    frame = pl.DataFrame(
        {
            "customer_id": [f"C{number:04d}" for number in who],
            "transaction_date": [date(2023, 1, 1) + timedelta(days=int(one)) for one in day],
            "transaction_amount": np.exp(draw.normal(3, 0.5, len(who))).round(2),
            "product_category": ["toys"] * len(who),
        }
    ).filter(pl.col("transaction_date") < date(2025, 7, 1))
    path = tmp_path / "orders.csv"
    frame.write_csv(path)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[object]]:
    """What the command wants of the backtests, which answer at once with made-up predictions."""
    wanted: dict[str, list[object]] = {"held": [], "ages": [], "seed": [], "later": []}

    def hold_out(_orders, _day, customers, ages, activity=None, *, seed, progress, **_more) -> HeldOut:  # type: ignore[no-untyped-def]
        wanted["held"].append(customers.to_list())
        wanted["ages"].append(ages)
        wanted["seed"].append(seed)
        progress("predicting", 0.5)
        return make_held(max(customers.len(), 5), tuple(age for age in ages if age < 300))

    def later_cohort(_orders, day, **_more) -> HeldOut | None:  # type: ignore[no-untyped-def]
        wanted["later"].append(day)
        return make_held(150, (0, 30, 90), seed=5) if day > date(2025, 1, 1) else None

    monkeypatch.setattr(backtest, "hold_out", hold_out)
    monkeypatch.setattr(backtest, "later_cohort", later_cohort)
    return wanted


def test_customers_are_held_out_at_random_and_predicted_at_four_ages(
    run: Run, shop: Path, asked: dict[str, list[object]]
) -> None:
    said = run(
        "ltv", "evaluate", "--transactions", shop, "--holdout-customers", "100", "--seed", "3", "--json"
    )

    assert said.code == 0
    assert asked["ages"] == [(0, 30, 90, 180)]
    assert asked["seed"] == [3]
    assert len(asked["held"][0]) == len(set(asked["held"][0])) == 100  # type: ignore[call-overload, arg-type]
    assert said.json["summary"]["holdout_customers"] == 100
    assert said.json["summary"]["as_of"] == pl.read_csv(shop)["transaction_date"].max()
    assert {row["forecast"] for row in said.json["metrics"]} >= {"predicted_ltv", "spend so far x 1.29"}
    assert said.json["later"]["quintiles"]
    assert "predicting (50%)" in said.err


def test_the_same_seed_holds_out_the_same_customers(
    run: Run, shop: Path, asked: dict[str, list[object]]
) -> None:
    for seed in ("3", "3", "4"):
        run("ltv", "evaluate", "--transactions", shop, "--holdout-customers", "50", "--seed", seed, "--json")

    assert asked["held"][0] == asked["held"][1]
    assert asked["held"][0] != asked["held"][2]


def test_ages_may_be_said_and_are_sorted(run: Run, shop: Path, asked: dict[str, list[object]]) -> None:
    days = ("--observe-days", "90", "--observe-days", "45", "--observe-days", "90")

    said = run("ltv", "evaluate", "--transactions", shop, *days, "--json")

    assert said.code == 0
    assert asked["ages"] == [(45, 90)]
    assert said.json["summary"]["headline_age_days"] == 45


def test_too_few_customers_to_hold_out_are_said_loudly(
    run: Run, shop: Path, asked: dict[str, list[object]]
) -> None:
    said = run("ltv", "evaluate", "--transactions", shop, "--holdout-customers", "5000")

    assert said.code == 0
    held = len(asked["held"][0])  # type: ignore[arg-type]
    assert 50 < held < 400
    assert f"so {held} instead of 5,000 are held out" in said.err
    assert f"Only {held} customers could be checked" in " ".join(said.out.split())


def test_an_age_that_could_not_be_checked_is_told(
    run: Run, shop: Path, asked: dict[str, list[object]]
) -> None:
    said = run("ltv", "evaluate", "--transactions", shop, "--observe-days", "30", "--observe-days", "330")

    assert said.code == 0
    assert "Nobody could be checked at 330 days" in said.err


def test_tables_tell_what_matters_first(run: Run, shop: Path, asked: dict[str, list[object]]) -> None:
    said = run("ltv", "evaluate", "--transactions", shop)

    words = " ".join(said.out.split())
    assert words.index("Of 100 customers seen for 30 days") < words.index("LTV quintiles")
    assert "BG/NBD + GG" in words
    assert "A later cohort: 150 customers" in words
    assert "What to expect" in words
    assert "Is it as sure as it says" in words


def test_a_file_too_short_for_a_later_cohort_says_so(
    run: Run, shop: Path, asked: dict[str, list[object]]
) -> None:
    said = run("ltv", "evaluate", "--transactions", shop, "--as-of", "2024-12-31", "--json")

    assert said.code == 0
    assert asked["later"] == [date(2024, 12, 31)]
    assert said.json["later"] is None
    assert "too short for a check on a later cohort" in said.err


def test_the_report_is_written_as_a_page(run: Run, shop: Path, asked: dict[str, list[object]]) -> None:
    said = run("ltv", "evaluate", "--transactions", shop, "--report", "out/check.html", "--json")

    assert said.code == 0
    page = Path("out/check.html").read_text()
    assert "Customer values, checked on customers held out" in page
    assert "orders.csv" in page
    assert json.loads(said.out)["summary"]["headlines"][0] in page


def test_the_name_of_a_file_that_could_be_a_person_is_not_in_the_page(
    run: Run, shop: Path, asked: dict[str, list[object]]
) -> None:
    named = shop.rename(shop.with_name("jane.doe@mail.example.csv"))

    said = run("ltv", "evaluate", "--transactions", named, "--report", "check.html", "--json")

    assert said.code == 0
    assert "jane" not in Path("check.html").read_text() + said.out + said.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--observe-days", "364"), "less than or equal to 363"),
        (("--observe-days", "-1"), "greater than or equal to 0"),
        (("--holdout-customers", "0"), "greater than or equal to 1"),
        (("--report", "check.pdf"), "use the suffix .html"),
        (("--as-of", "yesterday"), "yesterday"),
    ],
)
def test_wrong_usage_ends_with_2(run: Run, shop: Path, words: tuple[str, ...], part: str) -> None:
    said = run("ltv", "evaluate", "--transactions", shop, *words)

    assert said.code == 2
    assert part in said.err


def test_a_missing_file_ends_with_2(run: Run) -> None:
    assert run("ltv", "evaluate", "--transactions", "nowhere.csv").code == 2


def test_too_little_history_ends_with_1(run: Run, shop: Path) -> None:
    said = run("ltv", "evaluate", "--transactions", shop, "--as-of", "2023-03-31")

    assert said.code == 1
    assert "Too little history to train on" in said.err
    assert said.out == ""


def test_square_brackets_in_a_report_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    held = make_held(60, (30,))
    report = build_report(held=held, later=None, importances=IMPORTANCES, summary={}).as_dict()
    report["summary"]["headlines"] = ["[bold]not bold[/]"]

    with out.capture() as shown:
        for one in value_tables.evaluation_tables(report):
            out.print(one)

    assert "[bold]not bold[/]" in shown.get()


def test_a_workspace_without_a_model_says_why() -> None:
    assert list(value_tables.model_tables({"no_model": "Too little."}, None)) == [
        "[bold]No predictions.[/] Too little."
    ]


def test_the_model_of_a_workspace_is_shown_with_its_headlines_and_quintiles() -> None:
    report = build_report(
        held=make_held(300, (30,)), later=None, importances=IMPORTANCES, summary={"as_of": "2025-12-31"}
    )

    with out.capture() as shown:
        for one in value_tables.model_tables({**report.as_dict(), "model_version": "3"}, "EUR"):
            out.print(one)

    words = " ".join(shown.get().split())
    assert report.summary["headlines"][0] in words
    assert "LTV quintiles, 30 days after the first order" in words
    assert "BG/NBD + Gamma-Gamma" in words
    assert "Means in EUR. Model 3, trained as of 2025-12-31." in words
