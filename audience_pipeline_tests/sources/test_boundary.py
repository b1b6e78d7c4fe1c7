from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy.exc import IntegrityError

from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import LedgerError
from audience_pipeline.sources import process, staging
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.report import BalanceError
from audience_pipeline.sources.single import read_transactions

SECRET = "ann.smith@example.org"
GOOD = "customer_id,transaction_date,transaction_amount\nc1,2025-01-02,10.00\n"
UNEXPECTED = [
    (duckdb.ConversionException, f"Could not convert string '{SECRET}' to INT32"),
    (duckdb.Error, SECRET),
    (pl.exceptions.ComputeError, SECRET),
    (pl.exceptions.SchemaError, SECRET),
    (pl.exceptions.PanicException, SECRET),
    (pa.ArrowInvalid, SECRET),
    (ValueError, SECRET),
    (KeyError, SECRET),
    (IndexError, SECRET),
    (TypeError, SECRET),
    (RecursionError, SECRET),
    (RuntimeError, SECRET),
    (AssertionError, SECRET),
    (UnicodeDecodeError, "utf-8", SECRET.encode(), 0, 1, SECRET),
    (UnicodeEncodeError, "utf-8", SECRET, 0, 1, SECRET),
    (IntegrityError, SECRET, {"raw": SECRET}, ValueError(SECRET)),
    (ExceptionGroup, SECRET, [ValueError(SECRET)]),
    (OSError, 5, SECRET),
]


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def raising(kind, *args):
    def raise_it(*_args, **_given):
        error = kind(*args)
        try:
            raise LookupError(SECRET)
        except LookupError:
            raise error  # noqa: B904 - it is to be chained

    return raise_it


@pytest.mark.parametrize("error", UNEXPECTED, ids=lambda error: error[0].__name__)
@pytest.mark.parametrize("single", [False, True], ids=["land", "read_transactions"])
def test_an_unexpected_error_is_told_by_type_and_place_and_nothing_lands(
    shop, tmp_path, monkeypatch, error, single
):
    path = shop.file(GOOD)
    monkeypatch.setattr(staging, "_ask_about_dates", raising(*error))
    facts = (ReadOptions(), ShopFacts(), tmp_path)
    with pytest.raises(SourceError) as caught:
        _ = read_transactions(path, *facts) if single else shop.land(path)
    assert str(caught.value).startswith(
        f"orders.csv: something unexpected happened ({error[0].__name__} at staging.py:"
    )
    assert str(caught.value).endswith("nothing was landed. Please report this as a defect.")
    assert not [each for each in chain(caught.value) if SECRET in f"{each} {each!r} {vars(each)}"]
    assert landings.committed(shop.ledger) == []
    assert not list(shop.lake.glob("*/*.parquet"))


def test_a_refusal_is_chained_to_nothing(shop, monkeypatch):
    monkeypatch.setattr(process, "survey", raising(SourceError, "orders.csv", "no table"))
    with pytest.raises(SourceError, match="no table") as caught:
        shop.land(GOOD)
    assert [*chain(caught.value)] == [caught.value]


def test_rows_that_do_not_add_up_are_told_as_such(shop, monkeypatch):
    monkeypatch.setattr(process, "_select_and_report", raising(BalanceError, "1 is not 2"))
    assert "the rows do not add up (BalanceError at process.py:" in shop.refusal(GOOD)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit, LedgerError, GeneratorExit])
def test_interruptions_a_lack_of_memory_and_the_ledger_speak_for_themselves(shop, monkeypatch, error):
    monkeypatch.setattr(staging, "_ask_about_dates", raising(error))
    with pytest.raises(error):
        shop.land(GOOD)


@pytest.mark.parametrize(
    "error", [(RuntimeError, "Query interrupted"), (duckdb.InterruptException, "Interrupted!")]
)
def test_a_signal_that_stops_duckdb_is_an_interruption_and_no_defect(shop, monkeypatch, error):
    monkeypatch.setattr(staging, "_ask_about_dates", raising(*error))
    with pytest.raises(KeyboardInterrupt) as caught:
        shop.land(GOOD)
    assert [*chain(caught.value)] == [caught.value]
