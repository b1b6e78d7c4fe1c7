"""``audience-pipeline customers``: who is who, and why."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.markup import escape

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    out,
    print_json,
    table,
    workspace,
)
from audience_pipeline.commands.tables import number

if TYPE_CHECKING:
    from audience_pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Customers: who is who, and why.")
AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="As of this date; without it, the newest."),
]

PHONE_DIGITS = 7
"""As few digits as a phone number has."""


@app.callback()
def customers() -> None:
    """Customers: who is who, and why."""


@app.command()
def explain(
    customer: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Any id of the customer: the shop's, a loyalty card, a browser; or an e-mail address or "
            "phone number, which is looked up by its hash and shown nowhere.",
        ),
    ],
    as_of: AsOf = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say under which ids a customer is known, what made them one, and which links were refused.

    Example: audience-pipeline customers explain C1042
    """
    from audience_pipeline.customers.identities_story import story

    settings = workspace(directory)
    day, identities, decisions = _tables(settings, as_of)
    how, names = _source_ids(settings, customer, day, identities)
    files, sequences = _files(settings)
    who = identities.filter(pl.col("source_id").is_in(names))["customer_id"].unique().sort().to_list()
    # A browser of nobody has no customer, and yet reasons why.
    strangers = [name for name in names if not who and name in set(decisions["source_id"])]
    told = [story(identities, decisions, one, files, sequences) for one in [*who, *strangers]]
    if not told:
        fail(f"nobody is known by that {how} as of {day}{_hint(settings, customer, how)}")
    if as_json:
        print_json({"as_of": day, "found_by": how, "customers": told})
        return
    for one in told:
        _print(one, day)


@app.command()
def merges(as_of: AsOf = None, directory: DirOption = None, as_json: JsonOption = False) -> None:
    """Count who became one customer by which kind of identifier, and which links were refused and why.

    Example: audience-pipeline customers merges
    """
    from audience_pipeline.customers.identities_growth import counts

    day, identities, decisions = _tables(workspace(directory), as_of)
    found = counts(identities, decisions)
    if as_json:
        print_json({"as_of": day, **found})
        return
    out.print(
        f"As of {day}: {number(found['customers'])} customers under {number(found['source_ids'])} ids, "
        f"{number(found['browsers'])} of them browsers; customers with several ids, browsers not counted: "
        f"{number(found['merged_people'])}",
        highlight=False,
        soft_wrap=True,
    )
    columns = {"kind": "left", "decision": "left", "reason": "left", "links": "right"}
    rows = [(row["kind"], row["decision"], row["reason"], number(row["links"])) for row in found["links"]]
    out.print(table("Links that several ids share", columns, rows))


def _tables(settings: Settings, as_of: datetime | None) -> tuple[date, pl.DataFrame, pl.DataFrame]:
    from audience_pipeline.defs.identities import DECISIONS
    from audience_pipeline.defs.storage import table_path

    folder = settings.lake / "identities"
    days = sorted(path.stem for path in folder.glob("*.parquet")) if folder.is_dir() else []
    if not days:
        fail("nobody has been resolved yet: run audience-pipeline refresh first")
    day = as_of.date().isoformat() if as_of else days[-1]
    if day not in days:
        fail(
            f"nobody was resolved as of {day}, the newest date is {days[-1]}: "
            f"audience-pipeline refresh --as-of {day} makes it"
        )
    tables = [pl.read_parquet(table_path(settings.lake, name, day)) for name in ("identities", DECISIONS)]
    return date.fromisoformat(day), tables[0], tables[1]


def _source_ids(settings: Settings, given: str, day: date, identities: pl.DataFrame) -> tuple[str, list[str]]:
    """By what was looked, and the source ids that it may mean."""
    from audience_pipeline.identifiers import hashed, looks_personal, pseudonym
    from audience_pipeline.identifiers.source_ids import ANONYMOUS, LOYALTY, SHOP
    from audience_pipeline.sources.values import identifier, trimmed

    wanted = identifier(trimmed(given) or "")
    names = [wanted, *(prefix + wanted for prefix in (SHOP, LOYALTY, ANONYMOUS))]
    known = identities.filter(pl.col("source_id").is_in(names))["source_id"].to_list()
    if known:
        return "id", known
    region = settings.config.shop.default_region
    found = [pseudonym(wanted)] if looks_personal(wanted) else []
    for kind, how in (("email", "e-mail address"), ("phone", "phone number")):
        digest = hashed("meta", kind, given, region)
        if digest is not None:
            return how, [*found, *_having(settings, kind, digest, day)]
    return "id", [*found, *names]


def _hint(settings: Settings, given: str, how: str) -> str:
    digits = sum(character.isdigit() for character in given)
    if how == "id" and digits >= PHONE_DIGITS and settings.config.shop.default_region is None:
        return "; a phone number needs its country code here, such as +49 151 ..., or shop.default_region"
    return "; ids are told apart by capital letters, and earlier dates know fewer of them (--as-of)"


def _having(settings: Settings, kind: str, digest: str, day: date) -> list[str]:
    """Source ids that were ever said to have a hash, up to a day."""
    from audience_pipeline.customers.identities_links import holders
    from audience_pipeline.defs.identities import landed_of
    from audience_pipeline.identifiers.source_ids import HASH_CHARACTERS

    return holders(landed_of(settings), day, kind, digest[:HASH_CHARACTERS])


def _files(settings: Settings) -> tuple[dict[str, str], dict[int, str]]:
    from audience_pipeline.ledger import landings
    from audience_pipeline.ledger.database import Ledger

    ledger = Ledger.open(settings.ledger_url)
    try:
        committed = landings.committed(ledger)
    finally:
        ledger.close()
    return (
        {landing.landing_id: landing.file_name for landing in committed},
        {landing.sequence: landing.file_name for landing in committed},
    )


def _print(told: dict[str, Any], day: date) -> None:
    from audience_pipeline.customers.identities_story import place

    if told["customer_id"] is None:
        out.print(f"A browser of nobody known, as of {day}")
    else:
        out.print(
            f"[bold]Customer {escape(told['customer_id'])}[/] as of {day}; person key "
            f"{escape(told['person_key'])}",
            soft_wrap=True,
        )
        rows = [
            (row["source_id"], row["named_by"], place(row["first_seen"], row["file"], row["line"]))
            for row in told["aliases"]
        ]
        columns = {"id": "left", "what it is": "left", "first seen": "left"}
        out.print(table("Known as", columns, rows))
    for title, name in (("Why they are one", "merges"), ("Refused", "refusals")):
        if told[name]:
            out.print(f"[bold]{title}[/]")
        for row in told[name]:
            out.print(f"  {row['sentence']}", markup=False, highlight=False, soft_wrap=True)
    if not told["merges"] and not told["refusals"]:
        out.print("  Shares no identifier with any other id.")
