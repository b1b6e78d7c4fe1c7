"""``audience-pipeline audiences list, validate, schema, upload``: the files that say who is meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    note,
    out,
    print_json,
    table,
    workspace,
)
from audience_pipeline.commands.tables import number
from audience_pipeline.settings import Settings

if TYPE_CHECKING:
    from audience_pipeline.audiences.definition import Definition, DefinitionErrors, Definitions
    from audience_pipeline.audiences.documents import Problem
    from audience_pipeline.audiences.sound import Sound
    from audience_pipeline.defs.vocabulary import Vocabulary
    from audience_pipeline.sources.lists import ListReport


def list_audiences(directory: DirOption = None, as_json: JsonOption = False) -> None:
    """The audiences that are defined, with their size on the newest date.

    Example: audience-pipeline audiences list
    """
    settings = workspace(directory)
    definitions = check_definitions(settings)
    as_of, sizes = _sizes(settings)
    rows: list[dict[str, Any]] = [
        {
            "name": audience.name,
            "platforms": [platform.value for platform in audience.platforms],
            "holdout_percent": audience.holdout_percent,
            "members": sizes.get(audience.name),
            "as_of": as_of if audience.name in sizes else None,
            "description": " ".join(audience.description.split()),
        }
        for audience in sorted(definitions, key=lambda audience: audience.name)
    ]
    if as_json:
        print_json(rows)
        return
    out.print(
        table(
            "Audiences",
            {
                "name": "left",
                "platforms": "left",
                "held out": "right",
                "members": "right",
                "description": "left",
            },
            [
                (
                    str(row["name"]),
                    ", ".join(row["platforms"]),
                    f"{row['holdout_percent']:g} %",
                    number(row["members"]),
                    str(row["description"]),
                )
                for row in rows
            ],
            caption=f"Members as of {as_of}." if as_of else "Members are known after a refresh.",
        )
    )
    _waiting(definitions)
    if lists := _vocabulary(settings)["lists"]:
        out.print(f"Uploaded lists: {', '.join(lists)}.", highlight=False)


def validate(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH...]", help="Files or folders.")] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check audience files; every mistake at once, with file, line and remedy. Exit code 2 when there is one.

    A file may refer to those beside it and to those of the workspace, whose lists, segments and columns of
    the CRM are known, too.

    Example: audience-pipeline audiences validate audiences/
    """
    from audience_pipeline.audiences.definition import DefinitionErrors, load_definitions, load_files

    settings = workspace(directory)
    known = _vocabulary(settings)
    chosen = paths or [settings.audiences]
    problems: list[Problem] = []
    audiences, suppressions = 0, 0
    waiting: list[Definitions] = []
    looked: list[Definition] = []
    files = [path for path in chosen if not path.is_dir()]
    named = {str(path) for path in files}
    for folder in (path for path in chosen if path.is_dir()):
        try:
            found = load_definitions(folder, **known)
            audiences += len(found)
            suppressions += len(found.suppressions)
            waiting.append(found)
            looked += found
        except DefinitionErrors as error:
            problems += error.problems
    try:
        read = [
            audience
            for audience in load_files(files, folder=settings.audiences, **known)
            if audience.file in named
        ]
        audiences += len(read)
        looked += read
    except DefinitionErrors as error:
        problems += error.problems
    if problems:
        refuse(DefinitionErrors(problems), as_json=as_json)
    if as_json:
        print_json({"valid": True, "audiences": audiences, "problems": [], **_flags(looked)})
    else:
        rules = f" and {_counted(suppressions, 'suppression rule')}" if suppressions else ""
        out.print(f"{_counted(audiences, 'audience')}{rules}, no mistakes.", highlight=False)
        for found in waiting:
            _waiting(found)
        for sentence in _flags(looked).get("warnings", ()):
            note(f"Warning: {sentence}")


def schema(
    suppression: Annotated[
        bool, typer.Option("--suppression", help="That of _suppression.yaml instead of that of an audience.")
    ] = False,
    directory: DirOption = None,
) -> None:
    """The JSON Schema of audience files (draft 2020-12): editors complete and check by it.

    The fields are those of the workspace, columns of its CRM files included.

    Example: audience-pipeline audiences schema > audiences/audience.schema.json
    """
    from audience_pipeline.audiences.json_schema import audience_schema, suppression_schema, written

    make = suppression_schema if suppression else audience_schema
    typer.echo(written(make(_vocabulary(workspace(directory))["fields"])), nl=False)


def upload(
    name: Annotated[str, typer.Argument(help="What the list is to be called: in: NAME means its people.")],
    file: Annotated[Path, typer.Argument(help="A CSV with or without a header, or one value a line.")],
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=COLUMN",
            help="Which column holds customer_id, email, phone, device_id, loyalty_id, email_sha256 or "
            "phone_sha256; repeatable. Then no other column is read.",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the list of that name.")] = False,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload a list of people, to be named in audiences and suppression rules by in and not_in.

    Customer ids, e-mail addresses, phone numbers and device ids may stand side by side. Only hashes are kept.
    Ten to fifteen digits alone may be a phone number or an id: they stand for both, unless a column says.

    Example: audience-pipeline audiences upload fair_visitors visitors.csv --column email=Mail
    """
    from audience_pipeline.audiences.definition import audience_names
    from audience_pipeline.audiences.keys import NAME_RULE
    from audience_pipeline.audiences.nodes import is_name
    from audience_pipeline.audiences.words import shown
    from audience_pipeline.defs.list_files import customers_found
    from audience_pipeline.sources.errors import SourceError
    from audience_pipeline.sources.lists import upload as store
    from audience_pipeline.sources.tombstones import KEY_NAME

    settings = workspace(directory, demos=False)
    if not is_name(name):
        fail(f"{shown(name)} is no name for a list: {NAME_RULE}", 2)
    if name in audience_names(settings.audiences):
        fail(f"{name} is the name of an audience: choose another one for the list", 2)
    columns = _columns(column or [])
    try:
        report = store(
            settings.lake,
            name,
            file,
            columns=columns,
            default_region=settings.config.shop.default_region,
            replace=replace,
            key=settings.home / KEY_NAME,
        )
    except SourceError as error:
        fail(str(error))
    as_of, customers = customers_found(settings, name) or (None, None)
    if as_json:
        print_json({**dataclasses.asdict(report), "customers": customers, "as_of": as_of})
    else:
        _show(report)
        if customers is not None:
            out.print(f"It finds {_counted(customers, 'customer')} as of {as_of}.", highlight=False)


def sound_definitions(settings: Settings, *, as_json: bool = False) -> Sound:
    """The definitions of a workspace that can be used, as a refresh in Dagster uses them.

    Where that is none, or nobody knows whom to suppress, the mistakes end the command as wrong usage.
    """
    from audience_pipeline.audiences.definition import DefinitionErrors
    from audience_pipeline.audiences.sound import load_sound

    try:
        found = load_sound(settings.audiences, **_vocabulary(settings, with_segments=False))
    except DefinitionErrors as error:
        refuse(error, as_json=as_json)
    if not len(found.definitions):
        refuse(DefinitionErrors(found.problems), as_json=as_json)
    return found


def check_definitions(settings: Settings) -> Definitions:
    """The audiences of a workspace; their mistakes end the command as wrong usage.

    A segment that is not there any more is no mistake: only the audiences that name it are not evaluated.
    """
    from audience_pipeline.audiences.definition import DefinitionErrors, load_definitions

    try:
        return load_definitions(settings.audiences, **_vocabulary(settings, with_segments=False))
    except DefinitionErrors as error:
        refuse(error)


def refuse(error: DefinitionErrors, *, as_json: bool = False) -> NoReturn:
    """Say every mistake of definition files, and end the command as wrong usage."""
    if not as_json:
        fail(str(error), 2)
    print_json({"valid": False, "problems": [dataclasses.asdict(problem) for problem in error.problems]})
    raise typer.Exit(2) from error


def _flags(audiences: Sequence[Definition]) -> dict[str, list[str]]:
    """Names and descriptions that a platform's policy would flag; nothing where there are none."""
    from audience_pipeline.audiences.policy import flagged

    found = [
        f"{audience.file}:{audience.lines.get(flag.where, 0)}: {flag.sentence}"
        for audience in audiences
        for flag in flagged(audience.name, audience.description)
    ]
    return {"warnings": found} if found else {}


def _waiting(definitions: Definitions) -> None:
    for rule in definitions.suppressions:
        for name in sorted(rule.waits_for):
            note(
                f"The suppression rule {rule.name} waits for the list {name}: "
                f"audience-pipeline audiences upload {name} FILE"
            )


def _vocabulary(settings: Settings, *, with_segments: bool = True) -> Vocabulary:
    from audience_pipeline.defs.vocabulary import vocabulary

    try:
        return vocabulary(settings, with_segments=with_segments)
    except ValueError as error:
        fail(f"audience.yaml: {error}", 2)


def _sizes(settings: Settings) -> tuple[str | None, Mapping[str, int]]:
    from audience_pipeline.audiences.errors import MembershipError
    from audience_pipeline.audiences.stored import stored_sizes

    found = sorted((settings.lake / "audience_memberships").glob("????-??-??.parquet"))
    if not found:
        return None, {}
    try:
        return found[-1].stem, dict(stored_sizes(found[-1]).select("audience", "size").iter_rows())
    except MembershipError as error:
        note(str(error))
        return None, {}


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        kind, sign, theirs = pair.partition("=")
        if not sign or not kind or not theirs:
            fail("--column takes KIND=COLUMN, such as --column email=Mail", 2)
        columns[kind] = theirs
    return columns


def _show(report: ListReport) -> None:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.by_kind.items())
    out.print(
        f"[bold]{report.name}[/]: {_counted(report.lines, 'line')}, "
        f"{_counted(report.distinct, 'different identifier')}: {kinds}.",
        highlight=False,
    )
    if report.unusable:
        out.print(
            table(
                "What cannot be used",
                {"values": "right", "first line": "right", "reason": "left"},
                [(number(one.values), number(one.first_line), one.reason) for one in report.unusable],
            )
        )
    if report.unused_columns:
        note(f"Not read, by their names: {', '.join(report.unused_columns)}.")
    out.print(f"In audiences and suppression rules: in: {report.name}", highlight=False)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
