"""How many of the people whom a platform holds are matched when a shop types them as shops do.

The platforms hold people at one address and, three in four, one telephone number. The shop holds the same
people as they typed themselves: capitals, blanks, dots, tags, national numbers, placeholders, nothing at all.
A platform can only find somebody whose address is the same by its own published rule; who could be found is
worked out a second time without the product's code, and whoever could not is listed by the reason.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
from delivery_common import PLATFORMS, audiences_of, clients, consent_of_all, publish, sandbox

from audience_pipeline_tests.delivery.proof.raw_input import (
    NAMES,
    POSTAL,
    UNUSABLE_EMAILS,
    UNUSABLE_PHONES,
    Person,
    messy_email,
    messy_phone,
)
from audience_pipeline_tests.delivery.proof.spelled import CALLING, country, email, of_record, phone

PEOPLE, SEED = 20_000, 11
SHARES = {"meta": 0.7, "google": 0.75, "tiktok": 0.45}
"""Of all people, those who are on the platform."""
PHONE_KNOWN = 0.75
PROMISED = {"meta": 0.60, "google": 0.40, "tiktok": 0.50}
BAR = 0.995
CONTACT = ("email", "phone", "first_name", "last_name", "country", "postal_code")
Row = dict[str, Any]


def match(people: int = PEOPLE) -> bool:
    """E-mail addresses only, then everything."""
    chance = Random(SEED)
    known = [_known(chance, Person(number)) for number in range(people)]
    typed = [_typed(chance, Person(number)) for number in range(people)]
    rows: list[tuple[str, ...]] = [
        (
            "identifiers",
            "platform",
            "sent",
            "held",
            "could be found",
            "matched",
            "of those",
            "match rate",
            "promised",
        )
    ]
    figures: dict[str, Any] = {}
    met = True
    with tempfile.TemporaryDirectory(prefix="match-") as name:
        folder = Path(name)
        pl.DataFrame(known).write_parquet(folder / "population.parquet")
        for number, (what, columns) in enumerate((("e-mail only", ("email",)), ("all", CONTACT))):
            given = [{one: row[one] if one in columns else None for one in CONTACT} for row in typed]
            with sandbox(folder / f"sandbox_{number}", folder / "population.parquet") as address:
                sent = _deliver(given, address, folder / f"home_{number}")
                for platform in PLATFORMS:
                    (one,) = audiences_of(address, platform)
                    found = _compared(platform, known, given, sent[platform], one["matched"])
                    figures[f"{what}, {platform}"] = found
                    met &= found["matched"] >= BAR * found["could_be_found"]
                    rows.append(_row(what, platform, found))
    good = publish("match", rows, figures, met=met)
    print(
        f"  the bar is {BAR:.1%} of those who could be found; of the people whom a platform holds, not found:"
    )
    for what, found in figures.items():
        reasons = ", ".join(f"{reason}: {number:,}" for reason, number in found["not_to_be_found"].items())
        print(f"  {what}: {reasons or 'nobody'}")
    return good


def _row(what: str, platform: str, found: dict[str, Any]) -> tuple[str, ...]:
    return (
        what,
        platform,
        f"{found['sent']:,}",
        f"{found['held']:,}",
        f"{found['could_be_found']:,}",
        f"{found['matched']:,}",
        f"{found['matched'] / found['could_be_found']:.2%}",
        f"{found['matched'] / found['sent']:.1%}",
        f"{PROMISED[platform]:.0%}",
    )


def _known(chance: Random, person: Person) -> Row:
    """What the platforms know."""
    first, last = person.name
    number = f"+{CALLING[person.country]}{person.national(person.number)}"
    on = {f"on_{platform}": chance.random() < share for platform, share in SHARES.items()}
    return {
        "email": person.email(),
        "phone": number if chance.random() < PHONE_KNOWN else None,
        "first_name": first,
        "last_name": last,
        "country": person.country,
        "postal_code": POSTAL[person.country],
        **on,
    }


def _typed(chance: Random, person: Person) -> Row:
    """What the shop has: one in thirty addresses and one in five numbers are no use or missing."""
    first, last = person.name
    address: str | None = messy_email(chance, person.email())
    number: str | None = messy_phone(chance, person.country, person.national(person.number))
    if chance.random() < 1 / 30:
        address = chance.choice((None, *UNUSABLE_EMAILS))
    if chance.random() < 1 / 5:
        number = chance.choice((None, *UNUSABLE_PHONES))
    where = chance.choice((person.country, person.country.lower(), NAMES[person.country], None))
    return {
        "email": address,
        "phone": number,
        "first_name": first.upper(),
        "last_name": f"{last} ",
        "country": where,
        "postal_code": POSTAL[person.country],
    }


def _deliver(typed: list[Row], address: str, home: Path) -> dict[str, int]:
    """Everybody to every platform; how many were sent."""
    from datetime import date

    from audience_pipeline.audiences import eligibility
    from audience_pipeline.delivery.recipients import recipients
    from audience_pipeline.delivery.run import Task, sync_all
    from audience_pipeline.ledger import Ledger
    from audience_pipeline.ledger.members import MemberStore
    from audience_pipeline.platforms.contract import CAPABILITIES, Platform
    from audience_pipeline_tests.delivery.proof.product import hashed

    home.mkdir()
    table = hashed(
        pl.DataFrame(
            [{"customer_id": Person(number).customer_id, **row} for number, row in enumerate(typed)],
            schema=dict.fromkeys(("customer_id", *CONTACT), pl.String),
        )
    )
    consent = consent_of_all(table["customer_id"])
    members = table.select("customer_id", holdout=pl.lit(value=False))
    sent, made = {}, clients(address)
    with Ledger.open(f"sqlite:///{home}/ledger.db") as ledger:
        store = MemberStore(ledger, home / "delivered")
        for name in PLATFORMS:
            platform = Platform(name)
            standing = eligibility.standing(table, consent, CAPABILITIES[platform])
            who = eligibility.decided(members, standing).filter("eligible")
            wanted = recipients(platform, table).join(
                who, on="customer_id", how="semi", maintain_order="left"
            )
            task = Task("everybody", lambda wanted=wanted: wanted)  # type: ignore[misc]
            (report,) = sync_all(store, made[name], [task], as_of=date(2026, 11, 20)).reports
            assert report.ok, report.text()
            sent[name] = wanted.height
    return sent


def _compared(platform: str, known: list[Row], typed: list[Row], sent: int, matched: int) -> dict[str, Any]:
    held, found = 0, 0
    reasons: Counter[str] = Counter()
    for theirs, ours in zip(known, typed, strict=True):
        if not theirs[f"on_{platform}"]:
            continue
        held += 1
        why = _why_not(platform, theirs, ours)
        found += not why
        if why:
            reasons[why] += 1
    return {
        "sent": sent,
        "held": held,
        "could_be_found": found,
        "matched": matched,
        "not_to_be_found": dict(reasons.most_common()),
    }


def _why_not(platform: str, theirs: Row, ours: Row) -> str:
    """Why a platform cannot find somebody by what the shop has; empty where it can."""
    contact, region = of_record(ours), country(ours["country"])
    address, number = email(contact.email, platform), phone(contact.phone, region)
    if address is not None and address == email(theirs["email"], platform):
        return ""
    if number is not None and theirs["phone"] is not None and f"+{number}" == theirs["phone"]:
        return ""
    complete = region and contact.first_name and contact.last_name and contact.postal_code
    if platform != "tiktok" and complete and (address or number or platform == "google"):
        return ""
    if address is not None:
        return "another address by the platform's rule (tag or dots)"
    return "no usable address" + (", and no number that the platform knows" if ours["phone"] else "")


if __name__ == "__main__":
    print(json.dumps(match()))
