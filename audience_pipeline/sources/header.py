"""The columns that a file has against those that its contract wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as Collection
from difflib import get_close_matches

from audience_pipeline.sources.contract import CONTRACTS, KEPT, Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.kept import safe_name
from audience_pipeline.sources.options import ReadOptions

_SHOWN = 20
_KNOWN = frozenset(name for contract in CONTRACTS.values() for name in contract.names)
_NAME = re.compile(r"[^\W\d_][\w .\-/()#%&:+]{0,63}|_\w{1,63}", re.UNICODE)

_LIKELY_ID = re.compile(
    "(?:customer|cust|client|user|member|kunden?|buyer|contact|account)(?:id|no|nr|num|nummer|number|code|key)"
    "|customer|client|kunde|id"
)


def match(file: str, kind: Kind, found: Sequence[str], options: ReadOptions) -> dict[str, int]:
    """Which column of the file is which of the contract.

    Args:
        file: name of the file, for messages.
        kind: the contract.
        found: the names in the file, in order.
        options: ``columns`` maps names in the contract to names in the file; those that are not mapped stand
            for themselves. ``keep`` and ``hashed`` name columns besides.

    Returns:
        Name in the contract to position in the file, for the columns that are there. Columns that are kept
        besides are ``kept_0`` and so on, by their place in ``keep``.

    Raises:
        SourceError: a name occurs twice, a column is missing, an option names what is not there.
    """
    contract, mapping = CONTRACTS[kind], options.columns
    _refuse_data(file, found, {*mapping.values(), *options.keep})
    _refuse_duplicates(file, found)
    unknown = [name for name in mapping if name not in contract.names]
    if unknown:
        raise SourceError(
            file,
            f"columns maps {_list(unknown)}, which {kind} does not have",
            f"its columns are {', '.join(contract.names)}",
        )
    positions: dict[str, int] = {}
    for name in contract.names:
        wanted = mapping.get(name, name)
        if wanted in found:
            positions[name] = found.index(wanted)
        elif name in mapping:
            raise SourceError(
                file,
                f"columns maps {name} to '{wanted}', which is not in the file",
                f"the file has {_shown(found)}",
            )
    _refuse_hashes(file, kind, options.hashed)
    extra = _kept(file, kind, found, options.keep, positions)
    missing = [name for name in contract.required if name not in positions]
    if "customer_id" in missing and any(name in positions for name in contract.instead):
        missing.remove("customer_id")
        used = {*positions.values(), *extra.values()}
        _refuse_likely_id(file, [name for at, name in enumerate(found) if at not in used])
    if missing:
        raise SourceError(file, f"{_plural(missing)} missing", _remedy(kind, missing, found))
    if contract.one_of and not extra and not any(name in positions for name in contract.one_of):
        raise SourceError(
            file,
            f"none of the columns {', '.join(contract.one_of)} is there",
            _remedy(kind, contract.one_of[:1], found),
        )
    return positions | extra


def _refuse_hashes(file: str, kind: Kind, hashed: Iterable[str]) -> None:
    for name in hashed:
        if name not in CONTRACTS[kind].names:
            raise SourceError(file, f"hashed names '{name}', which {kind} does not have", "leave it out")


def _kept(
    file: str, kind: Kind, found: Sequence[str], keep: Sequence[str], positions: Mapping[str, int]
) -> dict[str, int]:
    """Positions of the columns that are kept and there; one that is not there is no fault."""
    if keep and kind is not Kind.CRM:
        raise SourceError(file, f"keep is given, and {kind} keeps no other columns", "keep is for crm alone")
    for column in keep:
        known = [name for name, at in positions.items() if found[at] == column]
        if known or safe_name(column) in CONTRACTS[kind].names:
            raise SourceError(
                file,
                f"keep names '{column}', which has a meaning of its own ({(*known, safe_name(column))[0]})",
                "leave it out of keep",
            )
        if column not in found:
            close = get_close_matches(
                column, [name for name in found if _NAME.fullmatch(name)], n=1, cutoff=0.8
            )
            if close:
                raise SourceError(
                    file, f"keep names '{column}', which is not in the file", f"is '{close[0]}' meant?"
                )
    return {f"{KEPT}{n}": found.index(column) for n, column in enumerate(keep) if column in found}


def _refuse_likely_id(file: str, unused: Sequence[str]) -> None:
    """People could go by their e-mail addresses, but not because nobody said how the shop calls its ids."""
    likely = next((name for name in unused if _LIKELY_ID.fullmatch(safe_name(name).replace("_", ""))), None)
    if likely is not None:
        raise SourceError(
            file,
            f"there is no column 'customer_id', and '{likely}' could be it",
            f"say so: columns: {{customer_id: {likely}}} (--column customer_id='{likely}'); where it is not, "
            "rename it or leave it out, and people go by their other names",
        )


def looks_like_data(names: Sequence[str], known: Collection[str] = _KNOWN) -> bool:
    """Whether a first line holds values rather than names; then it must not be shown.

    A digit is enough where none of the names is ``known``.
    """
    digits = 4 if known & set(names) else 1
    return any("@" in name or sum(c.isdigit() for c in name) >= digits or _is_value(name) for name in names)


def _is_value(name: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,:/\- ]+", name.strip() or "x"))


def _refuse_data(file: str, found: Sequence[str], named: Collection[str]) -> None:
    if looks_like_data(found, _KNOWN | named):
        raise SourceError(
            file,
            "the first line looks like data, not like column names",
            "put the names of the columns into the first line",
            line=1,
        )


def _refuse_duplicates(file: str, found: Sequence[str]) -> None:
    for name in found:
        if name and found.count(name) > 1:
            places = [str(place) for place, other in enumerate(found, 1) if other == name]
            raise SourceError(
                file,
                f"the column {_shown([name])} occurs {len(places)} times (columns {', '.join(places)})",
                "remove or rename all but one",
                line=1,
            )


def _remedy(kind: Kind, missing: Sequence[str], found: Sequence[str]) -> str:
    other = _other_kind(kind, found)
    if other is not None:
        return f"the file has {_shown(found)}: it looks like {other}, so land it as {other}"
    wanted = missing[0]
    close = get_close_matches(wanted, [name for name in found if _NAME.fullmatch(name)], n=1, cutoff=0.3)
    example = close[0] if close else "its name in the file"
    return (
        f"the file has {_shown(found)}. Rename it there, or say which column it is: "
        f"columns: {{{wanted}: {example}}} (--column {wanted}='{example}')"
    )


def _other_kind(kind: Kind, found: Sequence[str]) -> Kind | None:
    """The kind whose columns the file has more of than any other's, where it could be landed as such."""
    fitting = [
        (sum(name in found for name in contract.names), other)
        for other, contract in CONTRACTS.items()
        if other is not kind
        and all(name in found for name in contract.required)
        and (not contract.one_of or any(name in found for name in contract.one_of))
    ]
    return max(fitting)[1] if fitting else None


def _shown(names: Sequence[str]) -> str:
    shown = [f"'{name}'" if _NAME.fullmatch(name) else "(unnamed)" for name in names[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _plural(missing: Sequence[str]) -> str:
    return f"the columns {_list(missing)} are" if len(missing) > 1 else f"the column {_list(missing)} is"
