from __future__ import annotations

from pathlib import Path

import pytest

from audience_pipeline.settings import CONFIG_NAME
from audience_pipeline_tests.commands.conftest import Run

ORDERS = "customer_id,transaction_date,transaction_amount\nc1,2026-01-01,5.00\n"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, run: Run) -> Path:
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "other.csv").write_text("name,colour\nx,y\n")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("demo --transactions nowhere.csv", "nowhere.csv: there is no such file"),
        ("demo --customers 0", "--customers"),
        ("ingest nonsense orders.csv", "'nonsense' is not one of 'transactions', 'crm', 'web'"),
        ("ingest crm", "Missing argument 'FILE...'"),
        ("ingest crm nowhere.csv orders.csv", "nowhere.csv: there is no such file"),
        (
            "ingest crm orders.csv --column customer_id",
            "--column takes OURS=THEIRS, such as",
        ),
        ("ingest crm orders.csv --column =x", "--column takes OURS=THEIRS"),
        ("ingest transactions orders.csv --decimal x", "decimal must be '.' or ','"),
        ("ingest transactions orders.csv --thousands .", "decimal and thousands cannot both be '.'"),
        ("ingest transactions orders.csv --encoding klingon", "encoding is not one that Python knows"),
        ("ingest transactions orders.csv --date-format %d/%m", "date_format lacks the year"),
        ("ingest transactions orders.csv --delimiter ab", "delimiter must be one character"),
        ("refresh --as-of 31.12.2026", "'31.12.2026' does not match the formats '%Y-%m-%d'"),
        ("refresh --dir w", "w: there is no workspace; audience-pipeline ingest transactions FILE makes one"),
        ("train --month 2026-13", "'2026-13' does not match the formats '%Y-%m'"),
        ("train --dir w", "w: there is no workspace; audience-pipeline ingest transactions FILE makes one"),
        ("audiences preview nobody --dir w", "no audience is called 'nobody'; there are at_risk_high_value"),
        ("audiences preview ann@example.com --dir w", "no audience is called '(withheld)'"),
        ("audiences sync nobody --dir w", "no audience is called 'nobody'"),
        ("audiences sync --platform myspace", "'myspace' is not one of 'meta', 'google', 'tiktok'"),
        ("audiences validate nowhere.yaml", "nowhere.yaml: the file cannot be read"),
        ("ltv train --model m --transactions nowhere.csv", "nowhere.csv: there is no such file"),
        ("ltv score --model m --transactions orders.csv --output o.txt", "use .parquet or .csv"),
        ("ltv score --model m --transactions orders.csv --output o.csv", "m holds no LTV model"),
        (
            "ltv score --model m --transactions o.csv --output v.csv --as-of 2026-01-01 --observe-days 3",
            "--as-of and --observe-days exclude each other",
        ),
        ("sandbox --port 70000", "--port"),
        ("sandbox --population nowhere.parquet", "nowhere.parquet: there is no such file"),
        ("ui --dir nowhere", "nowhere: there is no workspace yet; run make demo first, or ingest a file"),
        ("audiences status --speed fast", "No such option: --speed"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(run: Run, command: str, sentence: str) -> None:
    said = run(*command.split())

    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_days_and_months_without_transactions_are_refused_with_those_that_there_are(run: Run) -> None:
    assert run("ingest", "transactions", "orders.csv", "--dir", "w").code == 0

    for command, sentence in (
        ("refresh --dir w --as-of 2001-01-01", "--as-of must lie between 2024-01-01 and 2026-01-01"),
        ("refresh --dir w --as-of 2026-01-02", "--as-of must lie between 2024-01-01 and 2026-01-01"),
        ("train --dir w --month 2001-01", "--month must lie between 2024-01 and"),
    ):
        said = run(*command.split())
        assert (said.code, said.out) == (2, "")
        assert sentence in said.err


def test_wrong_usage_writes_nothing(run: Run, files: Path) -> None:
    for command in ("ingest crm nowhere.csv --dir w", "demo --transactions nowhere.csv --dir w"):
        run(*command.split())

    assert not (files / "w").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("shop: {name: x, colour: red}\n", "shop.colour: Extra inputs are not permitted"),
        ("shop: {time_zone: Mars/Olympus}\n", "shop.time_zone: Value error, unknown time zone"),
        ("- a list\n", "expected sections such as shop: and calendar:"),
        ("shop:\n  name: x\n currency: EUR\n", "line 3: this is not valid YAML"),
    ],
)
@pytest.mark.parametrize("command", ["refresh", "train", "audiences list", "audiences status", "ui"])
def test_a_mistake_in_the_settings_is_named_by_every_command(
    run: Run, files: Path, command: str, text: str, sentence: str
) -> None:
    config = files / "w" / CONFIG_NAME
    config.parent.mkdir()
    config.write_text(text)

    said = run(*command.split(), "--dir", "w")

    assert said.code == 2
    assert str(Path("w") / CONFIG_NAME) in said.err
    assert sentence in said.err


def test_a_wrong_variable_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIENCE_THREADS", "many")

    said = run("audiences", "list", "--dir", "w")

    assert said.code == 2
    assert "AUDIENCE_THREADS must be a whole number of 1 or more, not 'many'" in said.err


def test_a_file_of_another_kind_is_refused_with_1_and_lands_nothing(run: Run) -> None:
    said = run("ingest", "transactions", "other.csv", "--dir", "w", "--json")

    assert said.code == 1
    assert said.json["landed"] == []
    assert len(said.json["refused"]) == 1
    assert said.json["refused"][0].startswith("other.csv")
    assert "Refused: other.csv" in said.err


def test_before_anything_has_run_preview_says_what_to_do(run: Run) -> None:
    said = run("audiences", "preview", "new_customers", "--dir", "w")

    assert said.code == 1
    assert "no as-of date is complete yet: run audience-pipeline refresh" in said.err
    assert said.out == ""


def test_before_anything_has_been_sent_status_says_so_of_an_audience(run: Run) -> None:
    said = run("audiences", "status", "new_customers", "--dir", "w")

    assert said.code == 1
    assert "'new_customers' has never been delivered" in said.err
    assert run("audiences", "status", "--dir", "w", "--json").json == []
