"""A fast path for plainly written phone numbers, from the numbering plans that ``phonenumbers`` ships.

It only ever says "valid, and this is it", exactly where the library would; everything else is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

PLAIN = r"\+?[0-9 ().\-/]{4,40}"
"""How a number is written that can be certain: read by Python's `re` and by polars."""
TRUNK_IN_BRACKETS = r"\( *0 *\)"
_plain, _trunk_in_brackets = re.compile(PLAIN), re.compile(TRUNK_IN_BRACKETS)
_NOT_DIGITS = re.compile(r"[^0-9]+")
KINDS = (
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "personal_number",
    "voip",
    "pager",
    "uan",
    "voicemail",
)

Matcher = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The numbering plan of one region."""

    possible: Callable[[str], bool]
    matches: Callable[[str], bool]
    leading_digits: Matcher | None
    trunk_prefix: str | None
    trunk_prefix_parsing: Matcher | None
    dial_out: Matcher | None


def certain(text: str, region: str | None) -> str | None:
    """E.164 of a number in plain ASCII writing that is certainly valid, else None."""
    if _plain.fullmatch(text) is None or _trunk_in_brackets.search(text):
        return None
    digits = _NOT_DIGITS.sub("", text)
    if text[0] == "+":
        length = country_code_length(f"+{digits}")
        code, national = digits[:length], digits[length:]
        plans = _plans(code)
        if not plans or _has_trunk_prefix(plans[0], national):
            return None
    else:
        reading = _national(digits, region) if region else None
        if reading is None:
            return None
        code, national = reading
        plans = _plans(code)
    return f"+{code}{national}" if _is_valid(plans, national) else None


@lru_cache(maxsize=4096)
def _code_length(head: str) -> int:
    if head[0] == "0":
        return 0
    return next((n for n in (1, 2, 3) if int(head[:n]) in COUNTRY_CODE_TO_REGION_CODE), 0)


def country_code_length(number: str) -> int:
    """Digits of the country code of a number that begins with ``+``; 0 when there is none."""
    head = number[1:4]
    return _code_length(head) if head.isdigit() else 0


def _national(digits: str, region: str) -> tuple[str, str] | None:
    """Country code and national number, where the library would certainly read it so."""
    home = _home(region)
    if home is None:
        return None
    code, plan = home
    if plan.dial_out is not None and plan.dial_out(digits):
        return None
    trunk = plan.trunk_prefix
    if _has_trunk_prefix(plan, digits):
        rest = digits[len(trunk) :] if trunk and digits.startswith(trunk) else ""
        simple = plan.trunk_prefix_parsing is not None and bool(rest) and not _has_trunk_prefix(plan, rest)
        found = plan.trunk_prefix_parsing(digits) if simple and plan.trunk_prefix_parsing else None
        if not isinstance(found, re.Match) or found.group() != trunk or found.lastindex:
            return None
        unambiguous = plan.possible(rest) and (trunk == code or not digits.startswith(code))
        return (code, rest) if unambiguous else None
    return None if digits.startswith(code) else (code, digits)


def _has_trunk_prefix(plan: _Plan, national: str) -> bool:
    return plan.trunk_prefix_parsing is not None and bool(plan.trunk_prefix_parsing(national))


def _is_valid(plans: tuple[_Plan, ...], national: str) -> bool:
    """As the library does: the first region of the country code that claims the number decides."""
    if len(plans) == 1:
        return plans[0].matches(national)
    for plan in plans:
        if plan.leading_digits is not None:
            if plan.leading_digits(national):
                return plan.matches(national)
        elif plan.matches(national):
            return True
    return False


@lru_cache(maxsize=512)
def _plans(code: str) -> tuple[_Plan, ...]:
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if code else ()
    plans = tuple(_plan(region) for region in regions)
    return tuple(plan for plan in plans if plan is not None)


@lru_cache(maxsize=512)
def _home(region: str) -> tuple[str, _Plan] | None:
    plan = _plan(region)
    metadata: Any = PhoneMetadata.metadata_for_region(region, None)
    return None if plan is None else (str(metadata.country_code), plan)


@lru_cache(maxsize=512)
def _plan(region: str) -> _Plan | None:
    metadata: Any = PhoneMetadata.metadata_for_region(region, None)
    general = _matcher(metadata.general_desc) if metadata is not None else None
    if general is None:
        return None
    kinds = [_matcher(getattr(metadata, kind)) for kind in KINDS]
    usable = [kind for kind in kinds if kind is not None]

    def matches(national: str) -> bool:
        return general(national) and any(kind(national) for kind in usable)

    return _Plan(
        possible=general,
        matches=matches,
        leading_digits=_prefix(metadata.leading_digits),
        trunk_prefix=metadata.national_prefix,
        trunk_prefix_parsing=_prefix(metadata.national_prefix_for_parsing),
        dial_out=_prefix(metadata.international_prefix),
    )


def _matcher(description: Any) -> Callable[[str], bool] | None:
    if description is None or not description.national_number_pattern:
        return None
    full = re.compile(description.national_number_pattern).fullmatch
    lengths = frozenset(description.possible_length or ())

    def matches(national: str) -> bool:
        return (not lengths or len(national) in lengths) and full(national) is not None

    return matches


def _prefix(pattern: str | None) -> Matcher | None:
    return re.compile(pattern).match if pattern else None
