"""The columns that a file has against those that its contract wants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as Collection
from difflib import get_close_matches

from audience_pipeline.sources.contract import CONTRACTS, Kind
from audience_pipeline.sources.errors import SourceError

_SHOWN = 20
_KNOWN = frozenset(name for contract in CONTRACTS.values() for name in contract.names)
_NAME = re.compile(r"[^\W\d_][\w .\-/()#%&:+]{0,63}|_\w{1,63}", re.UNICODE)


def match(file: str, kind: Kind, found: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Which column of the file is which of the contract.

    Args:
        file: name of the file, for messages.
        kind: the contract.
        found: the names in the file, in order.
        mapping: name in the contract to name in the file; names that are not mapped stand for themselves.

    Returns:
        Name in the contract to position in the file, for the columns that are there.

    Raises:
        SourceError: a name occurs twice, a column is missing, a mapping names what is not there.
    """
    contract = CONTRACTS[kind]
    _refuse_data(file, found, mapping)
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
    missing = [name for name in contract.required if name not in positions]
    if "customer_id" in missing and any(name in positions for name in contract.instead):
        missing.remove("customer_id")
        _refuse_likely_id(file, [name for at, name in enumerate(found) if at not in positions.values()])
    if missing:
        raise SourceError(file, f"{_plural(missing)} missing", _remedy(kind, missing, found))
    if contract.one_of and not any(name in positions for name in contract.one_of):
        raise SourceError(
            file,
            f"none of the columns {', '.join(contract.one_of)} is there",
            _remedy(kind, contract.one_of[:1], found),
        )
    return positions


def _refuse_likely_id(file: str, unused: Sequence[str]) -> None:
    """People could go by their e-mail addresses, but not because nobody said how the shop calls its ids."""
    plain = {"".join(filter(str.isalnum, name.lower())): name for name in unused if _NAME.fullmatch(name)}
    close = "id" if "id" in plain else next(iter(get_close_matches("customerid", plain, n=1)), None)
    if close is not None:
        likely = plain[close]
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


def _refuse_data(file: str, found: Sequence[str], mapping: Mapping[str, str]) -> None:
    if looks_like_data(found, _KNOWN | set(mapping.values())):
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
