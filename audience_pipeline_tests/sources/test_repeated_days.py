from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.report import BalanceError, LandingReport
from audience_pipeline.sources.single import read_transactions

HEADER = "customer_id,transaction_date,transaction_amount,note\n"
FACTS = ShopFacts(today=dt.date(2025, 6, 30))


def lines(day, *names, note="-"):
    return [f"{name},2025-01-{day:02},1,{note}\n" for name in names]


def test_a_day_that_is_there_twice_counts_once(shop):
    day = lines(2, "a", "b", "c", "c")
    report = shop.land(HEADER + "".join(lines(1, "a", "b") + day + day + lines(3, "a")))
    assert (report.rows_read, report.landed, report.repeated) == (11, 7, 4)
    assert [(each.day, each.times, each.dropped) for each in report.repeated_days] == [
        (dt.date(2025, 1, 2), 2, 4)
    ]
    assert Counter(shop.rows()["customer_id"]) == {"a": 3, "b": 2, "c": 2}
    assert report.notices[0].startswith("2025-01-02 repeated as a whole: 4 lines were left out")


def test_a_day_that_is_there_three_times_counts_once(shop):
    report = shop.land(HEADER + "".join(lines(2, "a", "b", "c") * 3))
    assert (report.landed, report.repeated, report.repeated_days[0].times) == (3, 6, 3)


def test_identical_lines_on_a_day_that_is_not_repeated_are_all_real(shop):
    report = shop.land(HEADER + "".join(lines(2, "a", "a", "b", "b", "c")))
    assert (report.landed, report.repeated) == (5, 0)


def test_two_distinct_lines_twice_are_people_who_buy_twice(shop):
    assert shop.land(HEADER + "".join(lines(2, "a", "b") * 2)).repeated == 0


def test_lines_that_differ_in_a_column_of_no_interest_are_different(shop):
    text = HEADER + "".join(lines(2, "a", "b", "c", note="1") + lines(2, "a", "b", "c", note="2"))
    assert shop.land(text).repeated == 0


def test_repeated_lines_in_quarantine_are_counted_on_both_sides_and_the_account_balances(shop):
    day = [*lines(2, "a", "b"), ",2025-01-02,1,-\n"]
    report = shop.land(HEADER + "".join(day * 2))
    assert (report.landed, report.repeated, report.quarantined, report.repeated_and_quarantined) == (
        2,
        3,
        2,
        1,
    )
    assert report.balance == "6 read = 2 landed + 0 known + 3 repeated + 2 in quarantine - 1 both"


def test_an_account_that_does_not_balance_is_no_report():
    with pytest.raises(BalanceError, match="3 read = 1 landed"):
        LandingReport("a.csv", "transactions", "0", "0", rows_read=3, landed=1)


def test_rows_keep_the_order_of_the_file(shop):
    day = lines(2, "z", "b", "c")
    shop.land(HEADER + "".join(lines(3, "y") + day + day + lines(1, "x")))
    assert shop.rows()["customer_id"].to_list() == ["y", "z", "b", "c", "x"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8), st.integers(1, 4)),
        min_size=1,
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_every_copy_of_a_repeated_day_but_one_is_dropped(tmp_path, days, random):
    rows = [line for day, (names, times) in enumerate(days, 1) for line in lines(day, *names) * times]
    random.shuffle(rows)
    path = tmp_path / "orders.csv"
    path.write_text(HEADER + "".join(rows))

    frame, report = read_transactions(path, ReadOptions(), FACTS, tmp_path)

    expected: Counter[tuple[str, int]] = Counter()
    for day, (names, times) in enumerate(days, 1):
        counts = Counter(names * times)
        copies = 1
        for divisor in range(2, max(counts.values()) + 1):
            if all(count % divisor == 0 for count in counts.values()):
                copies = divisor
        if len(counts) < 3:
            copies = 1
        expected += Counter({(name, day): count // copies for name, count in counts.items()})
    landed = frame.select("customer_id", "transaction_date").collect()
    assert Counter((name, date.day) for name, date in landed.rows()) == expected
    assert report.repeated == len(rows) - expected.total()
