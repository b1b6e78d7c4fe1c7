"""What brought somebody to the website: the platform, channel and campaign of a web event."""

from __future__ import annotations

import polars as pl

GOOGLE_CLICKS = ("gclid", "gbraid", "wbraid")
META_CLICKS = ("fbclid", "fbc")
TIKTOK_CLICKS = ("ttclid",)
_FORMS = {
    "google": rf"^(?:{'|'.join(GOOGLE_CLICKS)})[^A-Za-z0-9]|^(?:Cj0KC|CjwKC|Cj[48]K|EAIaIQ|0AAAAA)",
    "meta": rf"^(?:{'|'.join(META_CLICKS)})[^A-Za-z0-9]|^(?:fb\.\d\.|IwAR|IwY2x|IwZX)",
    "tiktok": rf"^(?:{'|'.join(TIKTOK_CLICKS)})[^A-Za-z0-9]|^E[._]C[._]P",
}
"""How click ids begin: the name of the parameter and a mark (``gclid.1``, ``fbclid=1``), or as each
platform writes the value itself."""

SOURCES = {
    "google": ("google", "googleads", "google_ads", "google-ads", "adwords", "youtube"),
    "meta": ("meta", "facebook", "facebook.com", "fb", "instagram", "instagram.com", "ig"),
    "tiktok": ("tiktok", "tiktok.com", "tiktok_ads"),
}
"""Values of ``utm_source`` that name a platform, in lower case."""
_PLATFORMS = {name: platform for platform, names in SOURCES.items() for name in names}

UNPAID = ("organic", "organic_social", "social_organic", "email", "referral")
"""Values of ``utm_medium`` of visits that no advertisement has brought, in lower case."""
DIRECT = ("direct", "(direct)", "none", "(none)", "(not set)", "")
"""What web analytics writes where nothing has brought somebody."""
PAID_CHANNELS = {"google": "paid_search", "meta": "paid_social", "tiktok": "paid_social"}
"""The channel of a visit by a platform's advertisement, where the event does not say."""

CLUES = ("click", "utm_source", "utm_medium", "utm_campaign", "channel")
"""What :func:`touch` reads: what :func:`click` says, and columns of web events as they are."""
TOUCH = ("how", "platform", "channel", "campaign")
"""What a touch says; ``how`` is ``click_id``, ``utm`` or ``channel``."""


def click() -> pl.Expr:
    """The platform of ``click_id`` by its form; empty for a click id of another form, null without one."""
    given = pl.col("click_id")
    found: pl.Expr = pl.when(given.is_not_null()).then(pl.lit(""))
    for platform, form in _FORMS.items():
        found = pl.when(given.str.contains(form)).then(pl.lit(platform)).otherwise(found)
    return found.alias("click")


def touch() -> tuple[pl.Expr, ...]:
    """:data:`TOUCH` of :data:`CLUES` (texts); ``how`` is null where somebody came directly."""
    source, medium, campaign, channel = (_said(name) for name in CLUES[1:])
    clicked = pl.col("click").is_not_null()
    named = source.str.to_lowercase().replace_strict(_PLATFORMS, default=None, return_dtype=pl.String)
    paid = ~medium.str.to_lowercase().is_in(UNPAID).fill_null(value=False)
    by_form = pl.when(pl.col("click") != "").then("click")
    platform = pl.when(clicked).then(pl.coalesce(by_form, named)).when(paid).then(named).otherwise(None)
    return (
        pl.when(clicked)
        .then(pl.lit("click_id"))
        .when(source.is_not_null() | campaign.is_not_null())
        .then(pl.lit("utm"))
        .when(channel.is_not_null())
        .then(pl.lit("channel"))
        .alias("how"),
        platform.alias("platform"),
        pl.coalesce(
            channel, platform.replace_strict(PAID_CHANNELS, default=None, return_dtype=pl.String), medium
        ).alias("channel"),
        campaign.alias("campaign"),
    )


def indirect(column: str) -> pl.Expr:
    """A column of channels, null where it says that nothing has brought somebody."""
    return _said(column)


def _said(column: str) -> pl.Expr:
    text = pl.col(column).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(DIRECT)).then(text)
