"""Columns of phone numbers: the plans of ``phone_plans`` as regular expressions over whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from audience_pipeline.identifiers import phone_plans, phones
from audience_pipeline.identifiers.text import BLANKS

_SAME_DIGIT = f"^(?:{'|'.join(f'{digit}+' for digit in range(10))})$"
_FEW = 2_000
"""Numbers of one plan for which its expressions are not worth compiling."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A pattern of a whole national number, and the lengths that it may have."""

    pattern: str
    lengths: tuple[int, ...]

    def fits(self, national: pl.Series) -> pl.Series:
        hits = national.str.contains(f"^(?:{self.pattern})$")
        return hits & national.str.len_bytes().is_in(self.lengths) if self.lengths else hits


@dataclass(frozen=True, slots=True)
class _Plan:
    """The numbering plan of one region in patterns."""

    code: str
    general: _Shape
    kinds: tuple[_Shape, ...]
    leading_digits: str
    trunk_prefix: str | None
    trunk_prefix_parsing: str
    dial_out: str

    def matches(self, national: pl.Series) -> Bools:
        """Valid numbers of the region."""
        found = np.zeros(len(national), dtype=np.bool_)
        left = np.flatnonzero(self.general.fits(national).to_numpy())
        for kind in self.kinds:
            if not len(left):
                break
            hits = kind.fits(national.gather(left)).to_numpy()
            found[left[hits]] = True
            left = left[~hits]
        return found

    def has_trunk_prefix(self, digits: pl.Series) -> Bools:
        """Whether a number begins with what is dialled before a national one."""
        return _begins(digits, self.trunk_prefix_parsing)

    def without_trunk_prefix(self, digits: pl.Series) -> tuple[pl.Series, Bools]:
        """The numbers without the prefix where that can be told for certain, and where that is."""
        if not self.trunk_prefix or not self.trunk_prefix_parsing:
            return digits, np.zeros(len(digits), dtype=np.bool_)
        rest = digits.str.slice(len(self.trunk_prefix))
        found = digits.str.extract(f"^({self.trunk_prefix_parsing})") == self.trunk_prefix
        cut = found.fill_null(value=False).to_numpy() & self.general.fits(rest).to_numpy()
        cut &= ~self.has_trunk_prefix(rest)
        return pl.select(pl.when(pl.lit(pl.Series(cut))).then(rest).otherwise(digits)).to_series(), cut


def e164(numbers: pl.DataFrame, few: int = _FEW) -> pl.DataFrame:
    """Numbers as ``+`` and digits, as ``phones.e164`` reads them one by one.

    Args:
        numbers: ``phone`` (String, raw) and ``region`` (ISO2 in upper case; empty where none is known).
        few: plans with fewer numbers are read one by one.

    Returns:
        The distinct rows of ``numbers`` without nulls, and ``e164`` (String, null where it is refused).
    """
    pairs = numbers.select("phone", "region").drop_nulls().unique()
    text = pairs["phone"].str.strip_chars(BLANKS)
    plain = text.str.contains(f"^(?:{phone_plans.PLAIN})$")
    frame = pairs.with_columns(
        text.str.replace_all("[^0-9]+", "").alias("digits"),
        text.str.starts_with("+").alias("international"),
        plain.alias("plain"),
        pl.lit(None, pl.String).alias("e164"),
    )
    parts = [frame.filter(~pl.col("plain"))]
    for (region, international), part in (
        frame.filter("plain").partition_by("region", "international", as_dict=True).items()
    ):
        if international:
            parts += _international(part, few)
        else:
            dialled = pl.Series(_is_dialled(part["digits"], str(region)))
            abroad = part.filter(dialled).with_columns(pl.col("digits").str.slice(2))
            parts += [_national(part.filter(~dialled), str(region), few), *_international(abroad, few)]
    done = pl.concat(parts)
    open_ = done.filter(pl.col("e164").is_null())
    read = [
        phones.e164(phone, region or None) for phone, region in open_.select("phone", "region").iter_rows()
    ]
    columns = ("phone", "region", "e164")
    return pl.concat(
        [
            done.filter(pl.col("e164").is_not_null()).select(columns),
            open_.with_columns(pl.Series("e164", read, dtype=pl.String)).select(columns),
        ]
    )


def _international(part: pl.DataFrame, few: int) -> list[pl.DataFrame]:
    heads = part["digits"].str.slice(0, 3).alias("head")
    known = heads.unique().to_list()
    lengths = pl.Series("length", [phone_plans.country_code_length(f"+{head}") for head in known])
    coded = part.with_columns(
        heads.replace_strict(pl.Series(known), lengths, return_dtype=pl.Int64).alias("length")
    ).with_columns(
        pl.col("digits").str.slice(0, pl.col("length")).alias("code"),
        pl.col("digits").str.slice(pl.col("length")).alias("national"),
    )
    done = []
    for (code,), group in coded.partition_by("code", as_dict=True).items():
        plain = group.select(part.columns)
        plans = _plans(str(code)) if group.height >= few else ()
        if plans:
            national, cut = plans[0].without_trunk_prefix(group["national"])
            certain = cut | ~plans[0].has_trunk_prefix(national)
            plain = _filled(plain, str(code), national, certain & _valid(plans, national))
        done.append(plain)
    return done


def _national(part: pl.DataFrame, region: str, few: int) -> pl.DataFrame:
    plan = _plan(region) if part.height >= few else None
    if plan is None:
        return part
    digits = part["digits"]
    begins = digits.str.starts_with(plan.code).to_numpy()
    national, cut = plan.without_trunk_prefix(digits)
    certain = (cut | ~plan.has_trunk_prefix(digits)) & ~_begins(digits, plan.dial_out)
    # A number that begins like the country's code could have lost its plus, unless that is the trunk prefix.
    certain &= ~begins | (cut & (plan.trunk_prefix == plan.code))
    return _filled(part, plan.code, national, certain & _valid(_plans(plan.code), national))


def _is_dialled(digits: pl.Series, region: str) -> Bools:
    """Whether a number begins with 00 for abroad, and can be nothing else in the region."""
    abroad = digits.str.contains("^00[1-9]").to_numpy()
    plan = _plan(region)
    if plan is None or not abroad.any():
        return abroad
    for_abroad = digits.str.extract(f"^({plan.dial_out})") if plan.dial_out else digits.clear(len(digits))
    national = plan.has_trunk_prefix(digits) | plan.general.fits(digits).to_numpy()
    exactly: Bools = (for_abroad == "00").fill_null(value=False).to_numpy()
    certain: Bools = abroad & (exactly | (for_abroad.is_null().to_numpy() & ~national))
    return certain


def _filled(part: pl.DataFrame, code: str, national: pl.Series, certain: Bools) -> pl.DataFrame:
    """With the numbers that are certain; placeholders are left to be refused."""
    known = ~national.str.contains(_SAME_DIGIT) & ~national.str.strip_chars_start("0").is_in(
        sorted(phones.PLACEHOLDERS)
    )
    usable = pl.Series(certain) & known
    return part.with_columns(pl.when(usable).then(pl.lit(f"+{code}") + national).alias("e164"))


def _valid(plans: Sequence[_Plan], national: pl.Series) -> Bools:
    """As the library does: the first region of the country code that claims the number decides."""
    if len(plans) == 1:
        return plans[0].matches(national)
    found = np.zeros(len(national), dtype=np.bool_)
    left = np.arange(len(national))
    for plan in plans:
        if not len(left):
            break
        part = national.gather(left)
        if not plan.leading_digits:
            decided = hits = plan.matches(part)
        else:
            decided = _begins(part, plan.leading_digits)
            hits = decided.copy()
            hits[decided] = plan.matches(part.filter(pl.Series(decided)))
        found[left[hits]] = True
        left = left[~decided]
    return found


def _begins(text: pl.Series, pattern: str) -> Bools:
    if not pattern:
        return np.zeros(len(text), dtype=np.bool_)
    return text.str.contains(f"^(?:{pattern})").to_numpy()


@lru_cache(maxsize=512)
def _plans(code: str) -> tuple[_Plan, ...]:
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if code else ()
    plans = (_plan(region) for region in regions)
    return tuple(plan for plan in plans if plan is not None)


@lru_cache(maxsize=512)
def _plan(region: str) -> _Plan | None:
    metadata: Any = PhoneMetadata.metadata_for_region(region, None)
    general = _shape(metadata.general_desc) if metadata is not None else None
    if general is None:
        return None
    kinds = [_shape(getattr(metadata, kind)) for kind in phone_plans.KINDS]
    return _Plan(
        code=str(metadata.country_code),
        general=general,
        kinds=tuple(kind for kind in kinds if kind is not None),
        leading_digits=_ascii(metadata.leading_digits),
        trunk_prefix=metadata.national_prefix,
        trunk_prefix_parsing=_ascii(metadata.national_prefix_for_parsing),
        dial_out=_ascii(metadata.international_prefix),
    )


def _shape(description: Any) -> _Shape | None:
    if description is None or not description.national_number_pattern:
        return None
    return _Shape(_ascii(description.national_number_pattern), tuple(description.possible_length or ()))


def _ascii(pattern: str | None) -> str:
    """The same pattern of digits 0 to 9 alone: with those of every script it takes ten times as long."""
    return (pattern or "").replace(r"\d", "[0-9]")
