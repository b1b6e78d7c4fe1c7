"""E-mail addresses and phone numbers as messy as people type them, and the CRM that holds them."""

from __future__ import annotations

import numpy as np
import polars as pl

from audience_pipeline.sandbox.shop.draws import BLOCK, Ints, Stage, choose_plain, generator, pick
from audience_pipeline.sandbox.shop.frames import CRM, customer_ids, moments
from audience_pipeline.sandbox.shop.latent import Latent
from audience_pipeline.sandbox.shop.parameters import ShopParameters
from audience_pipeline.sandbox.shop.people import competitor_domains, draw_people, share_homes

EMAIL_STYLES = ("plain", "capitals", "blanks", "tag", "dots", "invalid", "placeholder", "missing")
PHONE_STYLES = (
    "plain",
    "national",
    "spaced",
    "with_zero",
    "double_zero",
    "invalid",
    "placeholder",
    "missing",
)
PLACEHOLDER_EMAILS = ("test@test.com", "na@na.na", "noemail@noemail.com", "asdf@asdf.com")
PLACEHOLDER_PHONES = ("0000000000", "1234567890", "0123456789", "+49 000 0000000")

_TAGS = ("shop", "newsletter", "orders", "spam")
_GENDERS = (("f", "female", "F", None), ("m", "male", "M", None))


def draw_contacts(
    parameters: ShopParameters, block: int, latent: Latent
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The people of one block, and their rows in the CRM.

    Returns:
        The people (as ``share_homes`` makes them, with ``email``, ``phone``, ``email_typed``,
        ``phone_typed``, ``typed_email``, ``typed_phone``, ``in_crm``), and the CRM rows in the order in
        which they were written (columns of ``CRM`` and ``number``).
    """
    draw = generator(parameters.seed, block, Stage.PEOPLE)
    second_of_pair = np.arange(BLOCK) % 2 == 1
    together = second_of_pair & np.repeat(draw.random(BLOCK // 2) < parameters.households, 2)
    people = draw_people(draw, latent.number, latent.business, together, customers=True)
    people = people.with_columns(
        mail_domain=competitor_domains(draw, people["mail_domain"], parameters.competitors)
    )
    people = share_homes(draw, people, together).with_columns(
        email=pl.col("mail_name") + "@" + pl.col("mail_domain"),
        phone="+" + pl.col("calling") + pl.col("national"),
    )

    draw = generator(parameters.seed, block, Stage.CONTACTS)
    people = _typed(parameters, draw, people).with_columns(
        in_crm=pl.Series(draw.random(BLOCK) < parameters.in_crm)
    )
    return people, _crm(parameters, draw, people, latent)


def _crm(
    parameters: ShopParameters, draw: np.random.Generator, people: pl.DataFrame, latent: Latent
) -> pl.DataFrame:
    """CRM rows: one at the first order; for some a newer one, and then the first held older contacts."""
    start = latent.start.astype(np.int64) * 86_400 + draw.integers(8 * 3_600, 20 * 3_600, BLOCK)
    end = parameters.days * 86_400
    later = start + 86_400 + (draw.random(BLOCK) * np.maximum(end - start - 2 * 86_400, 0)).astype(np.int64)
    updated = (draw.random(BLOCK) < parameters.crm_updates) & (later < end)
    born = draw.integers(-25 * 365, 37 * 365, BLOCK)
    rows = people.with_columns(
        customer_id=customer_ids(latent.number),
        country=_as_in_a_form(draw, people["country"]),
        gender=_genders(draw, people["female"]),
        birth_date=pl.Series(np.where(draw.random(BLOCK) < 0.45, born, -(2**30)))
        .cast(pl.Int32)
        .cast(pl.Date),
    ).with_columns(
        birth_date=pl.when(pl.col("birth_date").dt.year() > 1900).then(
            pl.col("birth_date").dt.to_string("%Y-%m-%d")
        )
    )
    older = _typed(parameters, draw, people.with_columns(mail_domain=pl.lit("oldmail.example")))
    moved = pl.Series(updated & (draw.random(BLOCK) < 0.5))
    former = pl.Series(updated)
    first = rows.with_columns(
        typed_email=pl.when(moved).then(older["typed_email"]).otherwise("typed_email"),
        typed_phone=pl.when(former).then(older["typed_phone"]).otherwise("typed_phone"),
        updated_at=moments(parameters, start),
    )
    second = rows.with_columns(updated_at=moments(parameters, later)).filter(former)
    return (
        pl.concat([first, second])
        .filter("in_crm")
        .select(
            "number",
            *(
                pl.col(f"typed_{name}").alias(name) if name in {"email", "phone"} else pl.col(name)
                for name in CRM
            ),
        )
        .sort("updated_at", "number")
    )


def _typed(parameters: ShopParameters, draw: np.random.Generator, people: pl.DataFrame) -> pl.DataFrame:
    """People with ``typed_email`` and ``typed_phone``, and in which style: ``email_typed, phone_typed``."""
    size = len(people)
    gmail = people["mail_domain"].is_in(["gmail.com", "googlemail.com"]).to_numpy()
    email = _styles(parameters, draw, size, parameters.missing_email)
    email = np.where((email == EMAIL_STYLES.index("dots")) & ~gmail, EMAIL_STYLES.index("capitals"), email)
    phone = _styles(parameters, draw, size, parameters.missing_phone)
    return (
        people.with_columns(
            email_typed=pick(EMAIL_STYLES, email),
            phone_typed=pick(PHONE_STYLES, phone),
            _tag=pick(_TAGS, draw.integers(0, len(_TAGS), size)),
            _wrong_email=pick(PLACEHOLDER_EMAILS, draw.integers(0, len(PLACEHOLDER_EMAILS), size)),
            _wrong_phone=pick(PLACEHOLDER_PHONES, draw.integers(0, len(PLACEHOLDER_PHONES), size)),
            _email_way=draw.integers(0, 3, size),
            _phone_way=draw.integers(0, 3, size),
        )
        .with_columns(typed_email=_EMAIL, typed_phone=_PHONE)
        .select(pl.exclude("^_.*$"))
    )


def _styles(parameters: ShopParameters, draw: np.random.Generator, size: int, missing: float) -> Ints:
    """Styles of typing, by their place in ``EMAIL_STYLES`` and ``PHONE_STYLES``."""
    bad = parameters.invalid + parameters.placeholders + missing
    messy = parameters.messiness * (1.0 - bad)
    shares = [1.0 - bad - messy, *([messy / 4.0] * 4), parameters.invalid, parameters.placeholders, missing]
    return choose_plain(draw, np.maximum(shares, 0.0).tolist(), size)


def _ways(column: str, *ways: pl.Expr) -> pl.Expr:
    """One of three ways of doing the same."""
    return (
        pl.when(pl.col(column) == 0).then(ways[0]).when(pl.col(column) == 1).then(ways[1]).otherwise(ways[2])
    )


def _by_style(column: str, styles: tuple[str, ...], *texts: pl.Expr) -> pl.Expr:
    """The text of each row's style; null for the last style, which is no text."""
    chain = pl.when(pl.col(column) == styles[0]).then(texts[0])
    for style, text in zip(styles[1:], texts[1:], strict=False):
        chain = chain.when(pl.col(column) == style).then(text)  # type: ignore[assignment]
    return chain.otherwise(None)


_ADDRESS = pl.col("mail_name") + "@" + pl.col("mail_domain")
_AREA, _MIDDLE, _END = (pl.col("national").str.slice(*part) for part in ((0, 3), (3, 3), (6, 8)))
_AMERICAN = pl.col("calling") == "1"
_EMAIL = _by_style(
    "email_typed",
    EMAIL_STYLES,
    _ADDRESS,
    _ways(
        "_email_way",
        _ADDRESS.str.to_titlecase(),
        _ADDRESS.str.to_uppercase(),
        pl.col("mail_name") + "@" + pl.col("mail_domain").str.to_titlecase(),
    ),
    _ways("_email_way", " " + _ADDRESS, _ADDRESS + "  ", _ADDRESS + "\u00a0"),
    pl.col("mail_name") + "+" + pl.col("_tag") + "@" + pl.col("mail_domain"),
    _ways(
        "_email_way",
        pl.col("mail_name").str.replace_all(".", "", literal=True),
        pl.col("mail_name").str.replace(r"^(.)(.)", "$1.$2"),
        pl.col("mail_name").str.replace(r"(\d)$", ".$1"),
    )
    + "@"
    + pl.col("mail_domain"),
    _ways(
        "_email_way",
        pl.col("mail_name") + pl.col("mail_domain"),
        pl.col("mail_name") + "@@" + pl.col("mail_domain"),
        pl.col("mail_name") + "@" + pl.col("mail_domain").str.replace(".", ",", literal=True),
    ),
    pl.col("_wrong_email"),
)
_PHONE = _by_style(
    "phone_typed",
    PHONE_STYLES,
    "+" + pl.col("calling") + pl.col("national"),
    pl.when(_AMERICAN)
    .then(
        _ways(
            "_phone_way",
            "(" + _AREA + ") " + _MIDDLE + "-" + _END,
            _AREA + "-" + _MIDDLE + "-" + _END,
            pl.col("national"),
        )
    )
    .otherwise(
        pl.col("trunk")
        + _ways(
            "_phone_way",
            _AREA + " " + _MIDDLE + _END,
            _AREA + "/" + _MIDDLE + " " + _END,
            _AREA + "-" + _MIDDLE + "-" + _END,
        )
    ),
    _ways(
        "_phone_way",
        "+" + pl.col("calling") + " " + _AREA + " " + _MIDDLE + " " + _END,
        "+" + pl.col("calling") + " " + _AREA + "-" + _MIDDLE + _END,
        " +" + pl.col("calling") + "." + _AREA + "." + _MIDDLE + _END,
    ),
    "+"
    + pl.col("calling")
    + pl.when(pl.col("trunk") == "").then(pl.lit(" ")).otherwise(pl.lit(" (0)"))
    + _AREA
    + " "
    + _MIDDLE
    + _END,
    pl.when(_AMERICAN)
    .then("1-" + _AREA + "-" + _MIDDLE + "-" + _END)
    .otherwise("00" + pl.col("calling") + " " + _AREA + " " + _MIDDLE + _END),
    _ways(
        "_phone_way",
        pl.col("national").str.slice(0, 3),
        pl.lit("see email"),
        pl.col("national") + pl.col("national"),
    ),
    pl.col("_wrong_phone"),
)


def _as_in_a_form(draw: np.random.Generator, country: pl.Series) -> pl.Series:
    """Countries as forms and imports leave them: mostly capitals, some small, some missing."""
    size = len(country)
    way = pl.Series(choose_plain(draw, (0.93, 0.04, 0.03), size))
    return pl.select(
        pl.when(way == 0).then(country).when(way == 1).then(country.str.to_lowercase())
    ).to_series()


def _genders(draw: np.random.Generator, female: pl.Series) -> pl.Series:
    """Genders as forms and imports leave them."""
    way = choose_plain(draw, (0.4, 0.25, 0.1, 0.25), len(female))
    index: Ints = way + np.where(female.to_numpy(), 0, len(_GENDERS[0]))
    return pick(_GENDERS[0] + _GENDERS[1], index)
