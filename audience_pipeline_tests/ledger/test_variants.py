"""Everything that was ever sent is known for ever, whoever sent it and in which order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from audience_pipeline.delivery import recipients as delivery
from audience_pipeline.ledger import Ledger, LedgerError, schema, snapshots
from audience_pipeline.ledger.fingerprints import PEOPLE, fingerprints, keys
from audience_pipeline.ledger.variants import Variants, identifier_columns
from audience_pipeline.platforms.contract import CAPABILITIES, Platform

COLUMNS = identifier_columns(Platform.GOOGLE)
PERSON = st.tuples(
    st.sampled_from("abcde"),
    st.sampled_from([None, "x@example.com", "y@example.com"]),
    st.sampled_from([None, "+49301"]),
    st.sampled_from([None, "DE", "FR"]),
)


def recipients(*rows: tuple[str, str | None, str | None, str | None]) -> pl.DataFrame:
    """Customer, e-mail address, phone number, country; the names are complete where there is a country."""

    def hashed(text: str | None) -> bytes | None:
        return None if text is None else sha256(text.encode()).digest()

    values = {
        "google_email": [hashed(email) for _, email, _, _ in rows],
        "google_phone": [hashed(phone) for _, _, phone, _ in rows],
        "google_given_name": [hashed(country and "given") for *_, country in rows],
        "google_family_name": [hashed(country and "family") for *_, country in rows],
        "country": [country for *_, country in rows],
        "postal_code": [country and "10115" for *_, country in rows],
    }
    frame = pl.DataFrame({"customer_id": [row[0] for row in rows], **values}, schema_overrides=COLUMNS)
    frame = frame.cast({"customer_id": pl.String})
    return frame.insert_column(1, fingerprints(frame, list(COLUMNS)))


@pytest.fixture
def variants(ledger: Ledger, tmp_path: Path) -> Variants:
    return Variants(ledger, tmp_path, Platform.GOOGLE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(sent=st.lists(st.lists(PERSON, max_size=5), max_size=6), erased=st.sampled_from("abcde"))
def test_what_was_sent_is_known_with_what_it_shares(sent, erased, new_url) -> None:
    model = {}
    with TemporaryDirectory() as folder, Ledger.open(new_url()) as ledger:
        for people in sent:
            frame = recipients(*people)
            Variants(ledger, Path(folder), Platform.GOOGLE).remember(frame)
            model |= {row[:2]: row for row in frame.rows()}
        variants = Variants(ledger, Path(folder), Platform.GOOGLE)
        known = pl.DataFrame(list(model), schema=["customer_id", "fingerprint"], orient="row")
        if model:
            asked = known.cast({"fingerprint": pl.UInt64}).sample(fraction=1, shuffle=True, seed=1)
            assert variants.of(asked).rows() == [model[row] for row in asked.rows()]
        assert variants.every(pl.Series(["a", "b"])).rows() == sorted(
            (row for row in model.values() if row[0] in "ab"), key=lambda row: row[:2]
        )
        assert {row[:2] for row in variants.shared().rows()} == _sharing(model.values())
        assert variants.erase(pl.Series([erased])) == sum(row[0] == erased for row in model.values())
        assert set(variants.every(pl.Series(list("abcde")))["customer_id"]) == {who for who, _ in model} - {
            erased
        }


def _sharing(rows) -> set[tuple[str, int]]:
    groups = [
        {row[:2]: (number, *(row[2 + column] for column in columns)) for row in rows}
        for number, columns in enumerate([(0,), (1,), (2, 3, 4, 5)])
    ]
    return {
        who
        for group in groups
        for who, key in group.items()
        if None not in key and list(group.values()).count(key) > 1
    }


def test_equal_keys_mean_equal_identifiers(variants: Variants) -> None:
    variants.remember(
        recipients(
            ("a", "x", "1", None), ("b", "x", "2", None), ("c", "y", "2", None), ("d", "z", None, None)
        )
    )

    shared = variants.shared()
    together = shared.group_by("key").agg(pl.col("customer_id").sort())["customer_id"].to_list()
    assert sorted(together) == [["a", "b"], ["b", "c"]]
    assert shared.schema == {"customer_id": pl.String, "fingerprint": pl.UInt64, "key": pl.UInt64}


def test_what_is_known_is_not_written_again(variants: Variants, tmp_path: Path) -> None:
    sent = recipients(("a", "x", None, None), ("b", "y", None, None))
    variants.remember(sent)
    (file,) = tmp_path.rglob("*.parquet")
    variants.remember(sent.reverse())
    variants.remember(sent.clear())

    assert list(tmp_path.rglob("*.parquet")) == [file]


def test_small_segments_are_merged(variants: Variants, ledger: Ledger, tmp_path: Path) -> None:
    for number in range(40):
        variants.remember(recipients((f"c{number}", f"{number}@x", None, None)))

    with ledger.reading() as connection:
        rows = connection.execute(
            select(func.count(), func.sum(schema.variant_segments.c.rows)).select_from(
                schema.variant_segments
            )
        ).one()
    assert rows[1] == 40
    assert rows[0] <= 6
    assert len(list(tmp_path.rglob("*.parquet"))) == rows[0]


def test_several_processes_that_send_at_once_forget_nothing(
    variants: Variants, url: str, tmp_path: Path
) -> None:
    def work(number: int) -> None:
        with Ledger.open(url) as mine:
            own = Variants(mine, tmp_path, Platform.GOOGLE)
            for turn in range(5):
                own.remember(
                    recipients((f"{number}-{turn}", f"{number}{turn}", None, None), ("all", "x", None, None))
                )

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))

    everybody = pl.Series(["all", *(f"{number}-{turn}" for number in range(3) for turn in range(5))])
    assert variants.every(everybody).height == 16


def test_platforms_are_kept_apart(variants: Variants, ledger: Ledger, tmp_path: Path) -> None:
    variants.remember(recipients(("a", "x", None, None)))

    assert Variants(ledger, tmp_path, Platform.META).every(pl.Series(["a"])).is_empty()


@pytest.mark.parametrize("where", ["write", "discard"])
def test_whoever_is_killed_while_remembering_leaves_the_ledger_sound(
    variants: Variants, ledger: Ledger, tmp_path: Path, monkeypatch, where: str
) -> None:
    first, second = recipients(("a", "x", None, None)), recipients(("b", "y", None, None))
    variants.remember(first)

    def die(*them: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(snapshots, where, die)
        with pytest.raises(KeyboardInterrupt):
            variants.remember(second)
    again = Variants(ledger, tmp_path, Platform.GOOGLE)
    again.remember(second)

    assert again.of(pl.concat([second, first]).select(PEOPLE))["customer_id"].to_list() == ["b", "a"]


def test_somebody_of_whom_nobody_knows_what_was_sent_is_an_error(variants: Variants) -> None:
    unknown = recipients(("a", "x", None, None)).select(PEOPLE)

    with pytest.raises(LedgerError, match="Nobody knows what was sent of 1 people to google: restore"):
        variants.of(unknown)


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_damaged_segment_is_an_error_with_the_remedy(
    variants: Variants, ledger: Ledger, tmp_path: Path, harm: str
) -> None:
    variants.remember(recipients(("a", "x", None, None)))
    (file,) = tmp_path.rglob("*.parquet")
    file.unlink() if harm == "missing" else file.write_bytes(b"PAR1")

    with pytest.raises(LedgerError, match=r"what was sent to google (is missing|was changed)\. Restore"):
        Variants(ledger, tmp_path, Platform.GOOGLE).every(pl.Series(["a"]))


def test_fingerprints_never_change() -> None:
    known = recipients(("a", "x@example.com", "+49301", "DE"), ("b", None, None, None))

    assert known["fingerprint"].to_list() == [11_638_264_323_533_842_684, 0]


@given(people=st.lists(PERSON, max_size=6))
def test_deliveries_and_the_ledger_number_people_alike(people) -> None:
    frame = recipients(*people)
    capabilities = CAPABILITIES[Platform.GOOGLE]

    assert delivery.fingerprints(frame, capabilities.identifiers).equals(frame["fingerprint"])
    assert delivery.keys(frame, capabilities).sort(pl.all()).equals(keys(frame, capabilities).sort(pl.all()))


def test_without_a_backup_a_lost_segment_can_be_given_up(
    variants: Variants, ledger: Ledger, tmp_path: Path
) -> None:
    sent = recipients(("a", "x", None, None))
    variants.remember(sent)
    (file,) = tmp_path.rglob("*.parquet")
    file.unlink()
    with ledger.begin() as connection:
        connection.execute(delete(schema.variant_segments))

    again = Variants(ledger, tmp_path, Platform.GOOGLE)
    again.remember(sent)

    assert again.of(sent.select(PEOPLE)).equals(sent)
