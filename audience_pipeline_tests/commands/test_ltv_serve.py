from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audience_pipeline_tests.commands.conftest import Run
from audience_pipeline_tests.commands.test_ltv import shop

__all__ = ["shop"]
pytestmark = pytest.mark.xdist_group("ltv command")
AS_OF = "2026-09-30"


@contextlib.contextmanager
def serving(
    model: str | Path, folder: Path, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command in a process of its own, and its address."""
    ready = folder / "ready"
    command = [
        str(Path(sys.executable).with_name("audience-pipeline")),
        "ltv",
        "serve",
        "--model",
        str(model),
    ]
    process = subprocess.Popen(
        [*command, "--port", "0", "--ready-file", str(ready), "--refresh-seconds", "1"],
        env={**os.environ, **environment},
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.is_file() and process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        assert process.poll() is None
        yield process, ready.read_text()
    finally:
        process.kill()
        process.wait()


def call(address: str, path: str, document: Any = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(f"{address}{path}", body, timeout=30) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def lines(shop: Path) -> pl.DataFrame:
    """What fifty customers bought, every line once: a day that a file repeats would count once there."""
    table = pl.read_csv(shop / "transactions.csv", infer_schema=False)
    good = table.drop_nulls("customer_id").filter(
        pl.col("transaction_amount").str.contains(r"^-?\d+\.\d\d$"),
        pl.col("transaction_date").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).is_not_null(),
    )
    names = good["customer_id"].unique(maintain_order=True).head(50)
    return good.filter(pl.col("customer_id").is_in(names.to_list())).unique(maintain_order=True)


def request_of(lines: pl.DataFrame) -> dict[str, Any]:
    """What a value is predicted from, of every customer: a request with more is refused."""
    customers = lines.drop("coupon", "loyalty_id").partition_by(
        "customer_id", as_dict=True, include_key=False
    )
    return {
        "as_of": AS_OF,
        "customers": [
            {"customer_id": name, "transactions": part.to_dicts()} for (name,), part in customers.items()
        ],
    }


def test_the_service_gives_the_numbers_of_the_batch_and_ends_well(
    run: Run, shop: Path, lines: pl.DataFrame, tmp_path: Path
) -> None:
    lines.write_csv(tmp_path / "fifty.csv")
    said = run(
        *("ltv", "score", "--model", shop / "model", "--transactions", tmp_path / "fifty.csv"),
        *("--output", "fifty.parquet", "--as-of", AS_OF),
    )
    assert said.code == 0, said.err
    # There the quintile is a rank among the fifty.
    expected = pl.read_parquet("fifty.parquet").drop("ltv_quintile").to_dicts()

    with serving(shop / "model", tmp_path) as (process, address):
        answers = call(address, "/score", request_of(lines))["predictions"]
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(call, address, "/score", request_of(lines)) for _ in range(8)]
            assert len(waiting[0].result()["predictions"]) == 50
            process.send_signal(signal.SIGTERM)
            ended = process.wait(30)
        whole = [future.result()["predictions"] for future in waiting if future.exception() is None]

    assert ended == 0
    assert all(answer.pop("ltv_quintile") in {1, 2, 3, 4, 5} for answer in answers)
    assert sorted(answers, key=lambda answer: answer["customer_id"]) == [
        row | {"prediction_date": str(row["prediction_date"])} for row in expected
    ]
    assert {len(predictions) for predictions in whole} == {50}
    assert not (tmp_path / "ready").exists()


def test_a_port_that_is_taken_and_a_folder_without_a_model_are_named(
    run: Run, shop: Path, tmp_path: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        taken = run("ltv", "serve", "--model", shop / "model", "--port", port)

    assert taken.code == 1
    assert f"port {port}" in taken.err
    assert run("ltv", "serve", "--model", tmp_path).code == 2


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("models:/ltv@champion", "MLFLOW_TRACKING_URI"),
        ("models:/other@champion", "models:/ltv@champion"),
        ("models:/ltv@challenger", "models:/ltv@champion"),
        ("runs:/abc", "no model folder"),
    ],
)
def test_an_address_of_a_model_that_cannot_be_served_is_wrong_usage(run: Run, model: str, said: str) -> None:
    refused = run("ltv", "serve", "--model", model)

    assert refused.code == 2
    assert said in refused.err
