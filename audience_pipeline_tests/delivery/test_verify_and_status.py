"""What the ledger says of deliveries, and where platforms show something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.delivery.figures import as_read, match_rate, percentage, size
from audience_pipeline.delivery.gaps import Reference, expected, gone_since
from audience_pipeline.delivery.removals import EVERYWHERE
from audience_pipeline.delivery.status import Status, problems_first, status
from audience_pipeline.delivery.verify import NOTHING, Verification, not_configured, verify
from audience_pipeline.ledger import Ledger, deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    PlatformAudience,
    Upload,
)
from audience_pipeline.platforms.contract import (
    GOOGLE,
    META,
    TIKTOK,
    Capabilities,
    Platform,
    RemoteAudience,
    TransientPlatformError,
)

DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
PEOPLE_SCHEMA = {"customer_id": pl.String, "fingerprint": pl.UInt64}


def people(numbers: range) -> pl.DataFrame:
    rows = [(f"c{number:05}", number) for number in numbers]
    return pl.DataFrame(rows, schema=PEOPLE_SCHEMA, orient="row")


@dataclass
class Account:
    """One ad account: what its listing shows, or why it cannot be read."""

    capabilities: Capabilities = META
    account: str = "1"
    shown: list[RemoteAudience] = field(default_factory=list)
    error: TransientPlatformError | None = None
    listings: int = 0

    def audiences(self) -> list[RemoteAudience]:
        self.listings += 1
        if self.error is not None:
            raise self.error
        return list(self.shown)


@dataclass
class Shop:
    """A ledger, and deliveries that are written into it without an engine."""

    store: MemberStore
    batches: int = 0

    def known(self, audience: str, platform: Platform = Platform.META, account: str = "1", **more: object):
        key = AudienceKey(platform, account, audience)
        one = PlatformAudience(key, audience, AudienceState.ACTIVE, NOW, remote_id=f"r-{audience}")
        with self.store.ledger.begin() as connection:
            deliveries.put_audience(connection, replace(one, **more))  # type: ignore[arg-type]
        return key

    def delivery(self, key: AudienceKey, state: DeliveryState, at: datetime = NOW, **more: object) -> str:
        self.batches += 1
        made = Delivery(f"d{self.batches}", key, DAY, at, finished_at=at, state=state)
        with self.store.ledger.begin() as connection:
            deliveries.put_delivery(connection, replace(made, **more))  # type: ignore[arg-type]
        return made.delivery_id

    def batch(
        self,
        key: AudienceKey,
        who: range,
        *,
        action: str = "add",
        at: datetime = NOW,
        settled: BatchState | None = BatchState.SETTLED,
        refused: dict[tuple[str, int], str] | None = None,
        **answer: object,
    ) -> Batch:
        """A batch of a delivery of its own, planned and answered."""
        delivery = self.delivery(key, DeliveryState.SETTLED, at, wanted=len(who))
        batch = Batch(
            f"b{self.batches}",
            delivery,
            1,
            action,
            len(who),
            BatchState.PLANNED,
            at,  # type: ignore[arg-type]
        )
        self.store.plan_batch(key, batch, people(who), people(range(0)))
        if settled is not None:
            batch = replace(batch, state=settled, sent_at=at, **answer)  # type: ignore[arg-type]
            self.store.settle_batch(key, batch, refused=refused)
        return batch

    def arrived(self, audience: str = "best", number: int = 2_000, **more: object) -> AudienceKey:
        """An audience that is as it should be."""
        key = self.known(audience)
        self.batch(key, range(number), **{"accepted": number, "rejected": 0, **more})  # type: ignore[arg-type]
        return key


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield Shop(MemberStore(ledger, tmp_path / "delivered"))


def shows(name: str = "best", low: int | None = 1_500, high: int | None = 1_500, **more: object):
    one = RemoteAudience(f"r-{name}", name, ready=True, status="Normal.", size_low=low, size_high=high)
    return replace(one, **more)  # type: ignore[arg-type]


def checked(shop: Shop, *shown: RemoteAudience, at: datetime = NOW, **more: object) -> Verification:
    account = more.pop("account", None) or Account(shown=list(shown))
    return verify(shop.store, account, clock=lambda: at, **more)  # type: ignore[arg-type]


def kinds(found: Verification) -> list[str]:
    return [gap.kind for gap in found.gaps]


def test_an_audience_that_is_as_it_should_be_has_no_gap(shop: Shop) -> None:
    shop.arrived()

    found = checked(shop, shows())

    assert (found.ok, found.audiences, kinds(found)) == (True, 1, [])


def test_an_account_of_many_audiences_is_read_in_one_listing(shop: Shop) -> None:
    names = [f"a{number}" for number in range(20)]
    for name in names:
        shop.arrived(name, 5)
    account = Account(shown=[shows(name, 5, 5) for name in names])

    found = checked(shop, account=account)

    assert (found.audiences, account.listings) == (20, 1)
    with shop.store.ledger.reading() as connection:
        assert {one.size_high for one in deliveries.audiences(connection)} == {5}
        assert {one.read_at for one in deliveries.audiences(connection)} == {NOW}


def test_a_deleted_audience_is_a_gap(shop: Shop) -> None:
    shop.arrived()

    (gap,) = checked(shop).gaps

    assert (gap.audience, gap.kind) == ("best", "deleted")
    assert "deliver it again and it is made anew" in gap.sentence


def test_an_audience_that_was_deleted_because_nobody_is_wanted_is_none(shop: Shop) -> None:
    shop.known("best", remote_id=None, status="not there, because nobody is wanted")

    assert checked(shop).ok


def test_one_that_was_never_created_to_the_end_is_a_gap(shop: Shop) -> None:
    shop.known("best", remote_id=None, state=AudienceState.CREATING)

    assert kinds(checked(shop)) == ["unfinished"]


def test_a_renamed_audience_is_a_gap(shop: Shop) -> None:
    shop.arrived()

    (gap,) = checked(shop, replace(shows(), name="mine")).gaps

    assert gap.sentence == (
        "It is named 'mine' there and 'best' here: somebody renamed it. The next delivery gives it its name "
        "back."
    )


def test_another_audience_of_the_same_name_is_a_gap(shop: Shop) -> None:
    shop.arrived()

    (gap,) = checked(shop, shows(), replace(shows(), remote_id="copy")).gaps

    assert gap.kind == "twin"
    assert "id copy; ours is r-best" in gap.sentence


def test_people_added_by_somebody_else_are_a_gap(shop: Shop) -> None:
    shop.arrived(number=2_000)

    assert kinds(checked(shop, shows(low=2_200, high=2_200))) == []
    (gap,) = checked(shop, shows(low=2_300, high=2_300)).gaps

    assert "at least 2,300 people and 2,000 were delivered" in gap.sentence


def test_the_floor_of_small_audiences_is_taken_for_no_size(shop: Shop) -> None:
    shop.arrived(number=5)

    assert checked(shop, shows(low=0, high=1_000)).ok
    assert checked(shop, shows(low=1_000, high=1_000)).ok


@pytest.mark.parametrize(
    ("status_", "kind", "words"),
    [
        ("Flagged by integrity rules: name.", "flagged", "a name or description that breaks its rules"),
        ("Low match rate.", "flagged", "has a remark: Low match rate."),
        ("High share of invalid rows.", "flagged", "has a remark"),
        ("closed (UNUSED)", "flagged", "has a remark: closed (UNUSED)"),
        ("valid, expires within 60 days", "expiring", "Use it in a campaign that runs"),
    ],
)
def test_a_remark_of_the_platform_is_a_gap_with_a_remedy(shop: Shop, status_, kind, words) -> None:
    shop.arrived()

    (gap,) = checked(shop, shows(status=status_)).gaps

    assert gap.kind == kind
    assert words in gap.sentence


def test_an_audience_that_is_not_ready_is_a_gap(shop: Shop) -> None:
    shop.arrived()

    (gap,) = checked(shop, shows(ready=False, status="We are finding people.")).gaps

    assert (gap.kind, "Up to two days" in gap.sentence) == ("not_ready", True)


def test_one_that_is_too_small_is_told_with_the_floor_of_the_platform(shop: Shop) -> None:
    shop.arrived(number=60)

    (gap,) = checked(shop, shows(low=0, high=1_000, ready=False, status="Too small.")).gaps

    assert gap.kind == "small"
    assert "meta needs 100 to deliver ads" in gap.sentence
    assert "audience-pipeline audiences status best" in gap.sentence


def test_an_audience_that_lost_people_without_a_removal_is_a_gap(shop: Shop) -> None:
    shop.arrived(number=10_000)
    before = {"best": Reference(6_000, NOW)}

    assert checked(shop, shows(low=5_500, high=5_500), seen_before=before).ok
    (gap,) = checked(shop, shows(low=5_000, high=5_000), seen_before=before).gaps

    assert gap.kind == "shrunk"
    assert (
        "shows at most 5,000 people; on 2026-11-20 it was at least 6,000, and no more than 0" in gap.sentence
    )


def test_people_whom_we_removed_are_no_loss(shop: Shop) -> None:
    key = shop.arrived(number=10_000)
    shop.batch(key, range(1_500), action="remove", at=NOW - timedelta(days=1))

    found = checked(shop, shows(low=4_600, high=4_600), seen_before={"best": Reference(6_000, NOW)})

    assert found.ok
    assert found.seen == {"best": Reference(4_600, NOW)}


def test_removals_from_all_audiences_of_the_account_count_for_each(shop: Shop) -> None:
    shop.arrived(number=10_000)
    everywhere = AudienceKey(Platform.META, "1", EVERYWHERE)
    shop.batch(everywhere, range(1_500), action="remove")

    assert checked(shop, shows(low=4_600, high=4_600), seen_before={"best": Reference(6_000, NOW)}).ok


def test_a_loss_is_told_until_it_is_mended_however_slowly_it_came(shop: Shop) -> None:
    shop.arrived(number=10_000)
    seen, told = NOTHING, []
    for day, number in enumerate((6_000, 5_800, 5_600, 5_400, 5_200)):
        found = checked(
            shop, shows(low=number, high=number), seen_before=seen, at=NOW + timedelta(days=3 * day)
        )
        seen = found.seen
        told.append(kinds(found))

    assert told == [[], [], [], ["shrunk"], ["shrunk"]]
    assert seen == {"best": Reference(6_000, NOW)}


def test_a_reference_survives_a_day_on_which_the_platform_cannot_be_asked(shop: Shop) -> None:
    shop.arrived()
    account = Account(error=TransientPlatformError(Platform.META, "no answer."))

    found = checked(shop, account=account, seen_before={"best": Reference(1_500, NOW)})

    assert kinds(found) == ["unreachable"]
    assert "The account cannot be read (meta: no answer.)" in found.gaps[0].sentence
    assert found.seen == {"best": Reference(1_500, NOW)}


def test_only_removals_that_could_take_effect_since_count() -> None:
    before = Reference(100, NOW)
    moved = [(NOW - timedelta(days=3), 10), (NOW - timedelta(days=1), 20), (NOW, 30)]

    assert gone_since(before, moved) == 50
    assert gone_since(None, moved) == 0


def test_the_expected_size_follows_the_platform_but_not_into_a_loss() -> None:
    before = Reference(100, NOW)
    later = NOW + timedelta(days=1)

    assert expected(before, shows(low=120), 500, 0, later) == Reference(120, later)
    assert expected(before, shows(low=120), 110, 0, later) == Reference(110, later)
    assert expected(before, shows(low=90), 500, 10, later) == Reference(90, later)
    assert expected(before, shows(low=89), 500, 10, later) == before
    assert expected(None, shows(low=0, high=1_000), 500, 0, later) is None


def test_what_was_never_confirmed_is_a_gap(shop: Shop) -> None:
    key = shop.arrived(number=10)
    shop.batch(key, range(10, 13), settled=BatchState.FAILED)

    (gap,) = checked(shop, shows(low=10, high=10)).gaps

    assert gap.sentence == (
        "3 additions and 0 removals are not confirmed: deliver again to send them once more."
    )


def test_a_batch_without_an_answer_is_a_gap_when_no_run_can_live_any_more(shop: Shop) -> None:
    key = shop.arrived(number=10)
    shop.batch(key, range(10, 13), settled=None)

    gaps = checked(shop, shows(low=10, high=10), at=NOW + timedelta(hours=4)).gaps

    assert "3 people are in batches whose outcome nobody knows" in gaps[0].sentence


def test_what_a_run_is_just_sending_is_no_gap(shop: Shop) -> None:
    key = shop.arrived(number=10)
    shop.batch(key, range(10, 13), settled=None)

    assert checked(shop, shows(low=10, high=10), at=NOW + timedelta(hours=1)).ok


def test_a_batch_that_is_processed_for_days_is_a_gap(shop: Shop) -> None:
    key = shop.known("best")
    shop.batch(key, range(3), settled=BatchState.SENT)

    assert checked(shop, shows(low=0, high=0), at=NOW + timedelta(hours=47)).ok
    (gap,) = checked(shop, shows(low=0, high=0), at=NOW + timedelta(hours=49)).gaps

    assert "3 people have been in processing for more than 48 hours" in gap.sentence


@pytest.mark.parametrize(
    ("days", "kind"), [(500, []), (520, ["expiring"]), (539, ["expiring"]), (541, ["expired"])]
)
def test_people_who_expire_or_have_expired_are_a_gap(shop: Shop, days: int, kind: list[str]) -> None:
    key = shop.known("best", Platform.GOOGLE)
    shop.batch(key, range(2_000))
    account = Account(GOOGLE, shown=[shows()])

    found = checked(shop, account=account, at=NOW + timedelta(days=days))

    assert kinds(found) == kind
    assert not kind or "deliver it again" in found.gaps[0].sentence


def test_people_without_consent_who_may_be_there_are_a_gap(shop: Shop) -> None:
    key = shop.arrived(number=10)
    lost = pl.Series(["c00003", "c00004", "stranger"])

    assert checked(shop, shows(low=10, high=10), consent_lost=pl.Series(["stranger"])).ok
    (gap,) = checked(shop, shows(low=10, high=10), consent_lost=lost).gaps
    assert gap.kind == "no_consent"
    assert gap.sentence.startswith("2 people who may not be advertised to may still be there")
    assert f"audiences sync {key.audience} --platform meta" in gap.sentence

    shop.batch(key, range(3, 5), action="remove", settled=BatchState.SENT)
    assert checked(shop, shows(low=10, high=10), consent_lost=lost).ok


def test_an_account_that_is_not_configured_any_more_is_a_gap(shop: Shop) -> None:
    shop.known("best", account="1")
    shop.known("second", account="2")
    shop.known("gone", account="3", remote_id=None)

    found = not_configured(shop.store, Platform.META, ["1"], NOW)

    assert [(one.account, one.audiences, kinds(one)) for one in found] == [("2", 1, ["unconfigured"])]
    assert "Account 2 of meta holds 1 audiences" in found[0].gaps[0].sentence


def test_a_verification_is_plain_values(shop: Shop) -> None:
    shop.arrived()

    assert checked(shop, shows()).as_dict() == {
        "platform": "meta",
        "account": "1",
        "checked_at": "2026-11-20T06:00:00+00:00",
        "audiences": 1,
        "ok": True,
        "gaps": [],
        "remarks": [],
    }
    assert Reference.from_json(Reference(5, NOW).as_json()) == Reference(5, NOW)


def test_the_status_has_a_row_for_each_audience_and_platform(shop: Shop) -> None:
    for audience, platform, number in (
        ("second", Platform.META, 4),
        ("best", Platform.META, 5),
        ("best", Platform.GOOGLE, 2),
    ):
        key = shop.known(audience, platform)
        shop.batch(key, range(number), accepted=number, rejected=0)

    rows = status(shop.store)

    assert [(row.audience, row.platform, row.wanted, row.sent, row.accepted) for row in rows] == [
        ("best", "google", 2, 2, 2),
        ("best", "meta", 5, 5, 5),
        ("second", "meta", 4, 4, 4),
    ]
    assert {(row.state, row.as_of, row.rejected) for row in rows} == {("settled", DAY, 0)}
    assert [row.audience for row in status(shop.store, "second")] == ["second"]


def one(shop: Shop, audience: str = "best") -> Status:
    (row,) = status(shop.store, audience)
    assert row == next(other for other in status(shop.store) if other.audience == audience)
    return row


def test_refused_people_count_once_whether_named_or_only_counted(shop: Shop) -> None:
    key = shop.known("best")
    named = {("c00000", 0): "bad row", ("c00001", 1): "bad row"}
    shop.batch(key, range(10), accepted=7, rejected=3, reasons={"bad row": 2, "no user": 1}, refused=named)

    row = one(shop)

    assert (row.sent, row.accepted, row.rejected) == (8, 7, 3)
    assert row.reasons == {"bad row": 2, "no user": 1}


def test_what_a_platform_does_not_say_is_not_made_up(shop: Shop) -> None:
    key = shop.known("best")
    shop.batch(key, range(5), accepted=5, rejected=0)
    shop.batch(key, range(5, 8), accepted=None, rejected=None)

    row = one(shop)

    assert (row.sent, row.accepted, row.rejected, row.matched, row.match_rate) == (8, None, None, "-", "-")


def test_accepted_people_who_left_since_are_not_counted(shop: Shop) -> None:
    key = shop.arrived(number=10)
    shop.batch(key, range(4), action="remove")

    assert (one(shop).sent, one(shop).accepted) == (6, 6)


def test_people_in_processing_and_without_an_answer_are_told_apart(shop: Shop) -> None:
    key = shop.known("best")
    shop.batch(key, range(5), settled=BatchState.SENT)
    assert (one(shop).processing, one(shop).unconfirmed, one(shop).urgency) == (5, 0, 1)

    shop.batch(key, range(5, 7), settled=BatchState.FAILED)
    assert (one(shop).processing, one(shop).unconfirmed, one(shop).urgency) == (5, 2, 0)


def test_a_held_delivery_says_how_it_is_released(shop: Shop) -> None:
    key = shop.arrived()
    assert one(shop).release == ""
    shop.delivery(key, DeliveryState.HELD, NOW + timedelta(hours=1), message="Held: it would empty it.")

    row = one(shop)

    assert (row.state, row.message, row.urgency) == ("held", "Held: it would empty it.", 1)
    assert row.release == "audience-pipeline audiences sync best --platform meta --yes"


def test_the_next_refresh_is_due_before_the_oldest_expires(shop: Shop) -> None:
    key = shop.known("best", Platform.TIKTOK)
    shop.batch(key, range(5), at=NOW)
    shop.batch(key, range(5, 9), at=NOW + timedelta(days=10))
    shop.arrived("other")

    assert one(shop).refresh_due == (NOW + timedelta(days=365 * 0.9)).date()
    assert one(shop, "other").refresh_due is None


def test_problems_stand_first_with_all_platforms_of_their_audience(shop: Shop) -> None:
    shop.arrived("calm", 3)
    shop.arrived("broken", 3)
    shop.delivery(shop.known("broken", Platform.TIKTOK), DeliveryState.FAILED)
    shop.delivery(shop.known("asks"), DeliveryState.HELD)

    ordered = problems_first(status(shop.store))

    assert [(row.audience, row.platform) for row in ordered] == [
        ("broken", "meta"),
        ("broken", "tiktok"),
        ("asks", "meta"),
        ("calm", "meta"),
    ]


def test_the_status_in_plain_values_has_the_date_of_its_figures(shop: Shop) -> None:
    shop.arrived()
    checked(shop, shows(low=1_500, high=1_600))

    row = one(shop).as_dict()

    assert (row["size_low"], row["size_high"], row["read_at"]) == (1_500, 1_600, NOW.isoformat())
    assert (row["match_rate_low"], row["match_rate_high"]) == (0.75, 0.8)
    assert (row["as_of"], row["match_rate_how"]) == ("2026-11-20", "size on the platform over people sent")
    assert one(shop).matched == "1,500 to 1,600"


REMOTE = RemoteAudience("1", "best", ready=True, status="ready")
BATCH = Batch("b", "d", 1, "add", 100, BatchState.SETTLED, NOW)


@pytest.mark.parametrize(
    ("remote", "uploads", "low", "high", "how"),
    [
        (replace(REMOTE, match_rate=(0.61, 0.7), size_high=5), [], 0.61, 0.7, "stated by the platform"),
        (
            REMOTE,
            [Upload(60, replace(BATCH, match_rate=(0.2, 0.3)))],
            0.2,
            0.3,
            "stated for the uploads of 2026-11-20 (60 of the 100 people) by the platform",
        ),
        (
            REMOTE,
            [
                Upload(60, replace(BATCH, match_rate=(0.2, 0.3))),
                Upload(40, replace(BATCH, match_rate=(0.7, 0.8), planned_at=NOW - timedelta(days=9))),
            ],
            0.4,
            0.5,
            "stated for the uploads of 2026-11-11 to 2026-11-20 by the platform",
        ),
        (
            REMOTE,
            [Upload(100, replace(BATCH, matched=40))],
            0.4,
            0.4,
            "matched over sent in the uploads of 2026-11-20",
        ),
        (replace(REMOTE, size_low=50, size_high=60), [Upload(10, BATCH)], 0.5, 0.6, "size on the platform"),
        (replace(REMOTE, size_low=1_000, size_high=1_000), [], None, None, "only that it is small"),
        (replace(REMOTE, size_low=0, size_high=1_000), [], None, None, "only that it is small"),
        (replace(REMOTE, size_low=0, size_high=50), [], 0.0, 0.5, "size on the platform"),
        (REMOTE, [], None, None, "no size yet"),
        (None, [], None, None, "no size yet"),
    ],
)
def test_a_match_rate_says_how_and_when_it_was_obtained(remote, uploads, low, high, how) -> None:
    rate = match_rate(remote, uploads, 100)

    assert (rate.low, rate.high) == (
        low if low is None else pytest.approx(low),
        high if high is None else pytest.approx(high),
    )
    assert rate.how.endswith(how) or how in rate.how


def test_an_audience_of_nobody_has_no_match_rate() -> None:
    assert match_rate(REMOTE, [], 0).low is None


def test_what_was_read_is_dated() -> None:
    key = AudienceKey(Platform.TIKTOK, "1", "best")
    known = PlatformAudience(key, "best", AudienceState.ACTIVE, NOW)

    read = as_read(known, replace(REMOTE, size_low=640, size_high=640), [], 1_000, NOW)

    assert (read.match_rate_low, read.match_rate_high, read.read_at) == (0.64, 0.64, NOW)
    assert TIKTOK.minimum_audience > 640


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.62, 0.62, "62 %"),
        (0.61, 0.7, "61 to 70 %"),
        (0.745, 0.755, "75 %"),
        (0.995, 1.0, "100 %"),
        (0.615, 0.615, "62 %"),
        (None, 0.7, "-"),
        (0.0, 0.2, "0 to 20 %"),
    ],
)
def test_a_rate_is_never_shown_without_its_bounds(low, high, text) -> None:
    assert percentage(low, high) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(1_710, 1_710, "1,710"), (1_000, 1_200, "1,000 to 1,200"), (0, 1_000, "at most 1,000"), (0, 0, "0")],
)
def test_a_floor_is_not_shown_as_a_size(low, high, text) -> None:
    assert size(low, high) == text
    assert size(None, None) == "-"
