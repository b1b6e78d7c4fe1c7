from __future__ import annotations

from datetime import date
from pathlib import Path

import phonenumbers
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.sandbox.invented import DOMAIN, SOURCE, invent_contacts
from audience_pipeline.sandbox.population import POPULATION
from audience_pipeline.sandbox.shop.frames import CONSENT, CRM

IDS = pl.Series([str(number) for number in range(12_346, 13_846)])


def text(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def test_everybody_gets_one_contact_that_says_it_is_invented(tmp_path: Path) -> None:
    files = invent_contacts(pl.concat([IDS, IDS, pl.Series([None], dtype=pl.String)]), tmp_path, seed=7)
    crm, consent = text(files.crm), text(files.consent)

    assert crm["customer_id"].to_list() == sorted(IDS)
    assert crm["email"].str.ends_with(f"@{DOMAIN}").all()
    assert crm["email"].is_unique().all()
    assert (consent["source"] == SOURCE).all()
    assert all(path.name.startswith("invented_") for path in (files.crm, files.consent, files.population))
    assert (files.customers, tuple(crm.columns), tuple(consent.columns)) == (1_500, CRM, CONSENT)
    assert pl.read_parquet(files.population).schema == pl.Schema(POPULATION)


def test_customers_who_come_later_change_nothing_about_the_others(tmp_path: Path) -> None:
    few = invent_contacts(IDS[::3], tmp_path / "few", seed=7)
    all_of_them = invent_contacts(IDS.shuffle(seed=1), tmp_path / "all", seed=7)
    known = pl.col("customer_id").is_in(IDS[::3].implode())

    assert text(all_of_them.crm).filter(known).equals(text(few.crm))
    assert text(all_of_them.consent).filter(known).equals(text(few.consent))
    emails = text(few.crm)["email"].implode()
    population = pl.read_parquet(all_of_them.population).filter(pl.col("email").is_in(emails))
    assert population.equals(pl.read_parquet(few.population))


def test_another_seed_invents_other_people(tmp_path: Path) -> None:
    one, other = (invent_contacts(IDS, tmp_path / str(seed), seed=seed) for seed in (1, 2))

    assert not text(one.crm)["email"].is_in(text(other.crm)["email"].implode()).any()


def test_some_grant_some_deny_and_some_say_nothing_before_any_transaction(tmp_path: Path) -> None:
    files = invent_contacts(IDS, tmp_path, seed=7, stated_on=date(1995, 1, 1))
    said = text(files.consent).filter(pl.col("purpose") == "advertising")

    assert said.filter(pl.col("status") == "granted").height == files.granted
    assert said.filter(pl.col("status") == "denied").height == files.denied
    assert 0.75 < files.granted / 1_500 < 0.85
    assert 0.05 < files.denied / 1_500 < 0.12
    assert (said["event_at"] == "1995-01-01 00:00:00").all()


def test_invented_phone_numbers_are_valid_and_platforms_know_their_share(tmp_path: Path) -> None:
    files = invent_contacts(IDS, tmp_path, seed=7)
    phones = text(files.crm)["phone"].drop_nulls()
    population = pl.read_parquet(files.population)

    assert len(phones) == files.with_phone
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(phone)) for phone in phones[:200])
    assert phones.is_unique().all()
    assert population.height == 1_500
    assert abs(population["on_tiktok"].mean() - 0.45) < 0.05


@given(
    st.lists(
        st.text(min_size=0, max_size=20).filter(lambda s: not any(0xD800 <= ord(c) < 0xE000 for c in s)),
        max_size=8,
    )
)
@settings(max_examples=25, deadline=None)
def test_any_customer_ids_are_taken(tmp_path_factory: object, ids: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")

    files = invent_contacts(pl.Series(ids, dtype=pl.String), folder, seed=1)

    assert files.customers == len(set(ids))
