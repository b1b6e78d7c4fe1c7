"""Who the customers are: names, places, e-mail addresses and phone numbers as they truly are."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import polars as pl

from audience_pipeline.sandbox.shop.draws import Bools, Ints, choose_plain, pick
from audience_pipeline.sandbox.shop.names import COMPETITOR_DOMAINS, COUNTRIES, MAIL_DOMAINS, split

_SPREAD = 7_654_321
"""Coprime to both ranges of numbers below, so that no two people get the same number."""

_RANGE = 10_000_000
_US_RANGE = 8_000_000
_EMPLOYERS = 4_000
_FOLDS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "\u0131": "i", "ø": "o"})


def draw_people(
    draw: np.random.Generator, numbers: Ints, business: Bools, together: Bools, *, customers: bool
) -> pl.DataFrame:
    """Invent people.

    Args:
        draw: where the randomness comes from.
        numbers: one number per person; those of customers and of strangers may overlap.
        business: who writes from a company's address.
        together: who lives with the person in the row before, and so in the same country.
        customers: False for strangers, who get other phone numbers and addresses.

    Returns:
        A row a person: ``number, country, calling, trunk, female, first_name, last_name, city, postal_code,
        state, mail_name, mail_domain, national`` (the phone number without country code and trunk digit).
    """
    size = len(numbers)
    country = choose_plain(draw, [entry.share for entry in COUNTRIES], size)
    country = np.where(together, np.roll(country, 1), country)
    female = draw.random(size) < 0.56
    first, first_starts, first_sizes = _first_names()
    key = country * 2 + female
    first_index = first_starts[key] + (draw.random(size) * first_sizes[key]).astype(np.int64)
    families, starts, sizes = _families()
    family_index = starts[country] + (draw.random(size) * sizes[country]).astype(np.int64)
    places, place_starts, place_sizes = _places()
    place = place_starts[country] + (draw.random(size) * place_sizes[country]).astype(np.int64)

    own = _spread(numbers, _RANGE) + (0 if customers else _RANGE)
    digits = np.where(
        country == _country("US"), 2_000_000 + _spread(numbers, _US_RANGE), _spread(numbers, _RANGE)
    )
    prefixes = [entry.mobile[0 if customers else 1] for entry in COUNTRIES]
    domain = _domains(draw, business)
    return pl.DataFrame(
        {
            "number": numbers,
            "country": pick([entry.code for entry in COUNTRIES], country),
            "calling": pick([entry.calling for entry in COUNTRIES], country),
            "trunk": pick([entry.trunk for entry in COUNTRIES], country),
            "female": female,
            "first_name": pick(first, first_index),
            "last_name": pick(families, family_index),
            "city": pick([place[0] for place in places], place),
            "postal_code": _postal_codes(draw, [place[1] for place in places], place),
            "state": pick([place[2] or None for place in places], place),
            "_first": pick([_folded(name) for name in first], first_index),
            "_last": pick([_folded(name) for name in families], family_index),
            "_own": own,
            "_style": draw.integers(0, 4, size),
            "_prefix": pick(prefixes, country),
            "_digits": digits,
            "mail_domain": domain,
        }
    ).select(
        pl.exclude("^_.*$"),
        (
            pl.when(pl.col("_style") == 0)
            .then(pl.col("_first").str.slice(0, 1) + "." + pl.col("_last"))
            .when(pl.col("_style") == 1)
            .then(pl.col("_first") + "_" + pl.col("_last"))
            .otherwise(pl.col("_first") + "." + pl.col("_last"))
            + pl.col("_own").cast(pl.String)
        ).alias("mail_name"),
        (pl.col("_prefix") + pl.col("_digits").cast(pl.String).str.zfill(7)).alias("national"),
    )


def share_homes(draw: np.random.Generator, people: pl.DataFrame, together: Bools) -> pl.DataFrame:
    """Let people share address, and often name, phone and e-mail, with the person in the row before.

    Args:
        draw: where the randomness comes from.
        people: as ``draw_people`` makes them.
        together: who lives with the person in the row before.

    Returns:
        The people with ``household`` (the number of its first member; null for people on their own),
        ``shares_email`` and ``shares_phone`` (it is the other one's).
    """
    with_partner = together | np.roll(together, -1)
    shared = {
        ("city", "postal_code", "state"): together,
        ("last_name",): together & (draw.random(len(people)) < 0.7),
        ("calling", "national"): together & (draw.random(len(people)) < 0.45),
        ("mail_name", "mail_domain"): together & (draw.random(len(people)) < 0.25),
    }
    *_, by_phone, by_email = shared.values()
    return people.with_columns(
        pl.when(pl.Series(who)).then(pl.col(name).shift(1)).otherwise(name).alias(name)
        for names, who in shared.items()
        for name in names
    ).with_columns(
        household=pl.when(pl.Series(with_partner)).then(
            pl.col("number") - pl.Series(together).cast(pl.Int64)
        ),
        shares_email=pl.Series(by_email),
        shares_phone=pl.Series(by_phone),
    )


def _country(code: str) -> int:
    return next(index for index, entry in enumerate(COUNTRIES) if entry.code == code)


def _spread(numbers: Ints, size: int) -> Ints:
    """A permutation of the numbers below ``size``, so that neighbours look unrelated."""
    return (numbers * _SPREAD + 1_234_567) % size


def _domains(draw: np.random.Generator, business: Bools) -> pl.Series:
    """Mail domains: of the large providers, or of one of some thousand employers."""
    shares = [share for _, share in MAIL_DOMAINS]
    kind = choose_plain(draw, [*shares, 1.0 - sum(shares)], len(business))
    employer = pl.Series(draw.integers(1, _EMPLOYERS, len(business))).cast(pl.String)
    at_work = pl.Series((kind == len(MAIL_DOMAINS)) | business)
    private = pick([domain for domain, _ in MAIL_DOMAINS] + [None], kind)
    return pl.select(pl.when(at_work).then("company" + employer + ".example").otherwise(private)).to_series()


def competitor_domains(draw: np.random.Generator, domains: pl.Series, share: float) -> pl.Series:
    """The domains with some replaced by a competitor's."""
    size = len(domains)
    spy = pl.Series(draw.random(size) < share)
    rival = pick(COMPETITOR_DOMAINS, draw.integers(0, len(COMPETITOR_DOMAINS), size))
    return pl.select(pl.when(spy).then(rival).otherwise(domains)).to_series()


def _postal_codes(draw: np.random.Generator, patterns: list[str], place: Ints) -> pl.Series:
    """Fill the patterns of postal codes with digits and letters."""
    width = max(map(len, patterns))
    shape = np.array([list(pattern.ljust(width)) for pattern in patterns])[place]
    digits = np.array(list("0123456789"))[draw.integers(0, 10, shape.shape)]
    letters = np.array(list("ABDEFGHJLNPRSTUWXY"))[draw.integers(0, 18, shape.shape)]
    filled = np.where(shape == "#", digits, np.where(shape == "@", letters, shape))
    codes = np.ascontiguousarray(filled).view(f"<U{width}").ravel().tolist()
    return pl.Series(codes, dtype=pl.String).str.strip_chars()


def _ragged(lists: list[tuple[str, ...]]) -> tuple[list[str], Ints, Ints]:
    """Lists one after the other, where each starts, and how long each is."""
    sizes = np.array([len(entries) for entries in lists])
    return [entry for entries in lists for entry in entries], np.cumsum(sizes) - sizes, sizes


@lru_cache(maxsize=1)
def _first_names() -> tuple[list[str], Ints, Ints]:
    return _ragged([split(names) for entry in COUNTRIES for names in (entry.men, entry.women)])


@lru_cache(maxsize=1)
def _families() -> tuple[list[str], Ints, Ints]:
    return _ragged([split(entry.families) for entry in COUNTRIES])


@lru_cache(maxsize=1)
def _places() -> tuple[list[tuple[str, str, str]], Ints, Ints]:
    sizes = np.array([len(entry.places) for entry in COUNTRIES])
    return [place for entry in COUNTRIES for place in entry.places], np.cumsum(sizes) - sizes, sizes


@lru_cache(maxsize=4_096)
def _folded(name: str) -> str:
    """A name as it appears in e-mail addresses: lower-case a to z."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_FOLDS))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalpha())
