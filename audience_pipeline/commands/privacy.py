"""``audience-pipeline privacy``: opt-outs and erasures by hand, and proof that nothing stated was lost."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    note,
    out,
    print_json,
    progress,
    table,
    workspace,
)
from audience_pipeline.commands.receipts import complete, receipts
from audience_pipeline.commands.tables import number
from audience_pipeline.platforms.contract import Platform

if TYPE_CHECKING:
    from audience_pipeline.defs.privacy import Requested
    from audience_pipeline.sources.requests import People, Status

app = typer.Typer(no_args_is_help=True, help="Privacy: opt-outs, erasures, receipts and the log of consent.")
app.command()(receipts)
app.command()(complete)

IdOption = Annotated[
    str | None,
    typer.Option(metavar="ID", help="One person: a customer id, an e-mail address or a phone number."),
]
FileOption = Annotated[
    Path | None,
    typer.Option(help="CSV of customer ids, e-mail addresses and phone numbers, mixed as they come."),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND=COLUMN",
        help="Which column of the file holds customer_id, email, phone, loyalty_id, email_sha256 or "
        "phone_sha256; repeatable. Then no other column is read.",
    ),
]
FOLLOW = (
    "The platforms follow within a minute or two where the daemon runs (audience-pipeline ui), and at once "
    "with: audience-pipeline audiences sync"
)
DELETED_LATER = (
    "What we hold of them is deleted as soon as every platform has confirmed that they are gone: by the "
    "daemon, or at once with: audience-pipeline privacy complete"
)
NOT_LIFTED = (
    "An erasure is not lifted: rows of these people are left out of every file that lands later, also where "
    "they buy again."
)
ALREADY = (
    "{rows} of the names and addresses are those of people who were erased before: nothing is held of them."
)
SHOWN_LINES = 10


@app.command("opt-out")
def opt_out(
    customer_id: IdOption = None,
    file: FileOption = None,
    platform: Annotated[
        Platform | None, typer.Option(help="Only from this platform; from all without it.")
    ] = None,
    column: ColumnOption = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take people out of advertising, for as long as they do not agree again. Who is unknown is kept, too.

    Example: audience-pipeline privacy opt-out --file opt_outs.csv --platform meta
    """
    _request("denied", customer_id, file, platform, column or [], directory, as_json=as_json)


@app.command()
def erase(
    customer_id: IdOption = None,
    file: FileOption = None,
    column: ColumnOption = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take people off every platform for good, then delete them here. Who is unknown is kept out, too.

    Example: audience-pipeline privacy erase --customer-id C1042
    """
    _request("erase", customer_id, file, None, column or [], directory, as_json=as_json)


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(help="A head that was noted earlier: it must still be part of the log."),
    ] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the log of consent and say whether anything was changed in it, or in the statements that decide.

    Exit code 1 where it was.

    Example: audience-pipeline privacy verify --json
    """
    from audience_pipeline.defs.consent_kept import changed
    from audience_pipeline.defs.consent_log import log_folder, unlogged
    from audience_pipeline.defs.erasure import under_way
    from audience_pipeline.ledger import consent_log
    from audience_pipeline.ledger.consent_verify import entries
    from audience_pipeline.ledger.consent_verify import verify as verified
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.sources.tombstones import KEY_NAME, KeyMissingError, read_key

    settings = workspace(directory)
    if not settings.home.is_dir():
        fail(f"{settings.home}: there is no workspace", 2)
    with progress("privacy verify"), Ledger.open(settings.ledger_url) as ledger:
        try:
            marker = read_key(settings.home / KEY_NAME)
        except KeyMissingError:
            marker = None
        seen = verified(consent_log.heads(ledger), log_folder(settings), noted=head, marker=marker)
        others = changed(settings, ledger, erasing=under_way(settings))
        seen = replace(seen, problems=(*seen.problems, *others))
        waiting = len(unlogged(ledger))
    if as_json:
        print_json({"intact": seen.intact, **asdict(seen), "landings_not_logged_yet": waiting})
    else:
        since = f" since {seen.since:%Y-%m-%d %H:%M} UTC" if seen.since else ""
        segments = "1 segment" if seen.segments == 1 else f"{number(seen.segments)} segments"
        verdict = "intact" if seen.intact else "BROKEN"
        out.print(
            f"{entries(seen.entries)} in {segments}{since}: {verdict}.",
            highlight=False,
        )
        if seen.problems:
            rows = [
                (
                    number(one.sequence) if one.sequence else "",
                    "" if one.entry is None else number(one.entry),
                    one.what,
                )
                for one in seen.problems
            ]
            headings = {"segment": "right", "from entry": "right", "what": "left"}
            out.print(table("Where it was broken", headings, rows))
        if seen.erased:
            out.print(
                f"{entries(seen.erased)} without names: keyed marks stand "
                "where ids and addresses of erased people were.",
                highlight=False,
            )
        if seen.head:
            out.print(f"Head, to be noted elsewhere: {seen.head}", highlight=False, soft_wrap=True)
        if waiting or seen.unfinished:
            note(
                f"Landings that are not in the log yet: {number(max(waiting, seen.unfinished))}; the next "
                "landing, request or delivery brings them in."
            )
    if not seen.intact:
        raise typer.Exit(1)


def _request(
    status: Status,
    customer_id: str | None,
    file: Path | None,
    platform: Platform | None,
    column: list[str],
    directory: Path | None,
    *,
    as_json: bool,
) -> None:
    from audience_pipeline.commands.runner import prepare_instance
    from audience_pipeline.defs.privacy import NobodyNamedError, StrayFileError, request
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.sources.errors import SourceError

    if (customer_id is None) == (file is None):
        fail("say who it is: either --customer-id ID or --file FILE", 2)
    if customer_id is not None and not customer_id.strip():
        fail("--customer-id is empty", 2)
    if file is not None and not file.is_file():
        fail(f"{file}: there is no such file", 2)
    if file is None and column:
        fail("--column is about the columns of --file FILE", 2)
    settings = workspace(directory)
    if not settings.home.is_dir():
        # A request that lands in the wrong folder would look done and be without effect.
        fail(f"{settings.home}: there is no workspace", 2)
    prepare_instance(settings)
    try:
        with progress("privacy"), Ledger.open(settings.ledger_url) as ledger:
            people = _people(customer_id, file, settings.config.shop.default_region, column)
            done = request(settings, ledger, people, status, platform.value if platform else None)
    except (NobodyNamedError, StrayFileError, SourceError) as error:
        fail(str(error))
    _receipt(done, as_json=as_json)
    if done.unread:
        lines = ", ".join(number(line) for line in done.unread[:SHOWN_LINES])
        more = f" and {number(len(done.unread) - SHOWN_LINES)} more" if len(done.unread) > SHOWN_LINES else ""
        note(f"Nobody could be made out in line {lines}{more}: whoever is meant there is NOT covered.")
        raise typer.Exit(1)


def _people(customer_id: str | None, file: Path | None, region: str | None, column: list[str]) -> People:
    from audience_pipeline.sources.list_cells import KINDS
    from audience_pipeline.sources.requests import one_person, people_of

    if file is None:
        return one_person(customer_id or "", region)
    pairs = [one.partition("=") for one in column]
    if any(kind not in KINDS or not theirs for kind, _, theirs in pairs):
        fail("--column takes KIND=COLUMN, such as --column email=Mail", 2)
    return people_of(file, region, {kind: theirs for kind, _, theirs in pairs})


def _receipt(done: Requested, *, as_json: bool) -> None:
    from audience_pipeline.ledger.consent_verify import entries

    erased = done.status == "erase"
    where = f"on {done.platform}" if done.platform else "on every platform"
    sentences = [
        f"From now on none of them is sent to {done.platform or 'any platform'}"
        + (", for any purpose, whatever is stated later." if erased else ", until they agree again."),
        FOLLOW,
        *([DELETED_LATER, NOT_LIFTED] if erased else []),
        *([ALREADY.format(rows=number(done.erased))] if done.erased else []),
        f"What has become of it shows: audience-pipeline privacy receipts --request {done.request_id}",
    ]
    if as_json:
        print_json(
            {
                "request_id": done.request_id,
                "request": "erase" if erased else "opt-out",
                "platform": done.platform,
                "stated_at": done.stated_at,
                "given": done.given,
                "known": done.known,
                "unknown_but_kept": done.unknown,
                "lines_not_read": list(done.unread),
                "log": {"sequence": done.log.sequence, "entries": done.log.entries, "head": done.log.head},
                "erased_before": done.erased,
                "next": sentences,
            }
        )
        return
    rows = [
        ("request", done.request_id),
        ("what", f"{'erasure' if erased else 'opt-out'} {where}"),
        ("stated", f"{done.stated_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("ids, addresses and numbers", number(done.given)),
        ("of people known to us", number(done.known)),
        ("unknown, but kept", number(done.unknown)),
        ("in the log", f"segment {number(done.log.sequence)}, {entries(done.log.entries)}"),
        ("head of the log", done.log.head),
    ]
    out.print(table("Receipt", {"": "left", " ": "left"}, rows))
    for sentence in sentences:
        out.print(sentence, highlight=False, soft_wrap=True)
