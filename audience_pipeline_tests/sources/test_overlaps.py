from __future__ import annotations

import datetime as dt
import multiprocessing
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.landing import land
from audience_pipeline.sources.options import ReadOptions, ShopFacts

HEADER = "customer_id,transaction_date,transaction_amount\n"
FACTS = ShopFacts(today=dt.date(2025, 6, 30))


def text(*rows):
    return HEADER + "".join(f"{name},2025-01-{day:02},1\n" for name, day in rows)


def counted(frame):
    return Counter((name, date.day) for name, date in frame.select("customer_id", "transaction_date").rows())


def test_the_same_file_again_changes_nothing_and_says_so(shop):
    path = shop.file(text(("a", 1), ("b", 2)))
    first, again = shop.land(path), shop.land(path)
    assert (first.landed, again.landed, again.known, again.landed_before) == (2, 0, 2, True)
    assert again.notices[0].endswith("as orders.csv: nothing was added")
    assert len(landings.committed(shop.ledger)) == 1


def test_the_same_rows_in_another_file_are_known(shop):
    shop.land(text(("a", 1), ("b", 2)))
    report = shop.land(text(("b", 2), ("a", 1)))
    assert (report.landed, report.known) == (0, 2)
    assert counted(shop.rows()) == {("a", 1): 1, ("b", 2): 1}


def test_between_files_the_multiplicity_is_the_maximum(shop):
    shop.land(text(("a", 1), ("a", 1), ("b", 1)))
    report = shop.land(text(("a", 1), ("a", 1), ("a", 1), ("b", 1), ("c", 2)))
    assert (report.landed, report.known) == (2, 3)
    assert counted(shop.rows()) == {("a", 1): 3, ("b", 1): 1, ("c", 2): 1}


def test_late_rows_land_on_their_day(shop):
    shop.land(text(("a", 5), ("b", 6)))
    report = shop.land(text(("late", 5), ("a", 5), ("b", 6)))
    assert (report.landed, report.first_date) == (1, dt.date(2025, 1, 5))


def test_an_overlapping_file_keeps_the_order_of_its_rows(shop):
    shop.land(text(("k", 1), ("m", 3)))
    report = shop.land(text(("z", 3), ("k", 1), ("y", 1), ("m", 3), ("x", 2)))
    newest = pl.read_parquet(shop.lake / "transactions" / f"{report.landing_id}.parquet")
    assert newest["customer_id"].to_list() == ["z", "y", "x"]


def test_contacts_without_a_date_add_nothing_twice(shop):
    first = "customer_id,email,country\nc1,ann@example.com,DE\nc2,ben@example.com,DE\n"
    shop.land(first, Kind.CRM)
    report = shop.land(first + "c3,eve@example.com,DE\n", Kind.CRM)
    assert (report.landed, report.known) == (1, 2)


def test_contacts_without_a_date_make_every_day_stale(shop):
    shop.land("customer_id,country,updated_at\nc1,DE,\nc2,DE,2025-01-02\n", Kind.CRM)
    shop.land("customer_id,country,updated_at\nc3,DE,2025-01-03\n", Kind.CRM)
    assert [each.first_date for each in landings.committed(shop.ledger)] == [
        dt.date(1970, 1, 1),
        dt.date(2025, 1, 3),
    ]


def test_events_and_consent_add_nothing_twice(shop):
    events = "event_at,event,anonymous_id\n2025-01-02T10:00:00Z,search,a\n2025-01-02T10:00:00Z,search,a\n"
    shop.land(events, Kind.WEB)
    report = shop.land(events + "2025-01-02T10:00:01Z,search,a\n", Kind.WEB)
    assert (report.landed, report.known) == (1, 2)
    consent = "event_at,status,email\n2025-01-02T10:00:00Z,denied,ann@example.com\n"
    shop.land(consent, Kind.CONSENT)
    assert shop.land(consent + "\n", Kind.CONSENT).known == 1


def test_the_same_file_can_land_as_two_kinds(shop):
    path = shop.file(
        "customer_id,transaction_date,transaction_amount,email\nc1,2025-01-02,1,ann@example.com\n"
    )
    assert shop.land(path).landed == 1
    assert shop.land(path, Kind.CRM).landed == 1


def test_every_landed_file_has_the_columns_of_its_contract(shop):
    shop.land(text(("a", 1)))
    assert shop.rows().schema == {**LANDED[Kind.TRANSACTIONS], "landing_id": pl.String()}


def test_a_landed_file_that_was_deleted_is_landed_again(shop):
    path = shop.file(text(("a", 1)))
    report = shop.land(path)
    (shop.lake / "transactions" / f"{report.landing_id}.parquet").unlink()
    other = shop.land(text(("b", 1)))
    assert other.notices[-1].startswith("1 landed files are missing from the lake")
    assert shop.land(path).landed == 1


FILES = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), min_size=1, max_size=6),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(FILES, st.data())
def test_files_in_any_order_twice_or_overlapping_make_the_same_rows(tmp_path_factory, files, data):
    folder: Path = tmp_path_factory.mktemp("overlaps")
    # Two distinct lines at most per day: three would make some of the days repeated ones.
    files = [[(name if name != "c" else "b", day) for name, day in file] for file in files]
    order = data.draw(st.permutations([*range(len(files)), data.draw(st.integers(0, len(files) - 1))]))
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        for number in order:
            path = folder / f"{number}.csv"
            path.write_text(text(*files[number]))
            land(
                Kind.TRANSACTIONS,
                path,
                lake=folder / "lake",
                ledger=ledger,
                options=ReadOptions(),
                facts=FACTS,
            )
    expected: Counter[tuple[str, int]] = Counter()
    for file in files:
        expected |= Counter(file)
    assert counted(pl.read_parquet(folder / "lake" / "transactions" / "*.parquet")) == expected


def _land(folder: Path, start: multiprocessing.synchronize.Barrier, answers: multiprocessing.Queue) -> None:
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        start.wait()
        report = land(
            Kind.TRANSACTIONS, folder / "orders.csv", lake=folder / "lake", ledger=ledger, facts=FACTS
        )
        answers.put((report.landed, report.landed_before))


@pytest.mark.xdist_group("processes")
def test_two_processes_with_the_same_file_land_it_once(tmp_path):
    (tmp_path / "orders.csv").write_text(text(*((f"c{i}", 1 + i % 28) for i in range(5000))))
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_land, args=(tmp_path, start, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    got = sorted(answers.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert got == [(0, True), (5000, False)]
    assert pl.read_parquet(tmp_path / "lake" / "transactions" / "*.parquet").height == 5000
