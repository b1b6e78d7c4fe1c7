"""What silence and signals mean, by country: a setting, with what the law asks for as its default."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

EEA = frozenset({
    "AT", "AX", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GF", "GP", "GR", "HR", "HU",
    "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MF", "MQ", "MT", "NL", "NO", "PL", "PT", "RE", "RO", "SE",
    "SI", "SK", "YT",
})  # fmt: skip
CONSENT_NEEDED = EEA | {"GB", "UK", "CH"}
"""Countries where silence means no: the EEA (overseas regions too), the United Kingdom, Switzerland."""
SIGNAL_COUNTRIES = frozenset({"US"})
"""Countries whose law makes a browser's Global Privacy Control an opt-out by itself."""


@dataclass(frozen=True, slots=True)
class ConsentPolicy:
    """What holds where somebody has said nothing, and whose browsers are listened to.

    A person with addresses in several countries gets the strictest of their rules.
    """

    consent_needed: frozenset[str] = CONSENT_NEEDED
    """ISO codes of countries where silence means no."""
    unknown_country_needs_consent: bool = True
    signal_countries: frozenset[str] = SIGNAL_COUNTRIES
    """ISO codes of countries where the Global Privacy Control of a browser is an opt-out. Elsewhere it says
    nothing: in Europe silence is a no already, and a consent that was given stands until it is withdrawn."""
    unknown_country_signals: bool = True
    advertising_covers_personalisation: bool = False
    """Whether the shop's question about advertising asked for personalisation in the same breath. Then a
    yes to advertising is one to personalisation too, where nothing was said of personalisation itself."""


def needs_consent(policy: ConsentPolicy, country: str = "country") -> pl.Expr:
    """Whether silence means no for the country in a column (ISO code or null)."""
    return _among(country, policy.consent_needed, unknown=policy.unknown_country_needs_consent)


def hears_signals(policy: ConsentPolicy, country: str = "country") -> pl.Expr:
    """Whether a browser's signal is an opt-out for the country in a column (ISO code or null)."""
    return _among(country, policy.signal_countries, unknown=policy.unknown_country_signals)


def _among(country: str, codes: frozenset[str], *, unknown: bool) -> pl.Expr:
    return pl.col(country).str.to_uppercase().is_in(sorted(codes)).fill_null(value=unknown)
