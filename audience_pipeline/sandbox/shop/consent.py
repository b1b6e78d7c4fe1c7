"""What people said about advertising: at sign-up, later, and by other ways than their account."""

from __future__ import annotations

import numpy as np
import polars as pl

from audience_pipeline.sandbox.shop.draws import BLOCK, Bools, Ints, Stage, choose_plain, generator, pick
from audience_pipeline.sandbox.shop.frames import CONSENT, customer_ids, moments
from audience_pipeline.sandbox.shop.latent import Latent
from audience_pipeline.sandbox.shop.names import CONSENT_NEEDED, COUNTRIES
from audience_pipeline.sandbox.shop.parameters import ShopParameters

STATES = ("silent", "granted", "denied")
_SILENT, _GRANTED, _DENIED = range(3)
_PURPOSES = ("advertising", "personalisation")
_PLATFORMS = ("meta", "google", "tiktok", None)
_SOURCES = ("sign-up", "preference centre", "browser signal", "customer service")
_SIGN_UP, _CENTRE, _SIGNAL, _SERVICE = range(4)
_BASES = ("consent", "opt-out")


def draw_consent(
    parameters: ShopParameters, block: int, latent: Latent, people: pl.DataFrame
) -> tuple[pl.DataFrame, pl.Series]:
    """The statements of one block up to the last day, and each customer's last word on advertising.

    Returns:
        Statements by time (columns of ``CONSENT`` and ``number``); one of ``STATES`` per customer, without
        statements for a single platform.
    """
    draw = generator(parameters.seed, block, Stage.CONSENT)
    codes = [country.code for country in COUNTRIES if CONSENT_NEEDED[COUNTRIES.index(country)]]
    asked = people["country"].is_in(codes).to_numpy()
    end = parameters.days * 86_400
    sign_up = (latent.start * 86_400).astype(np.int64)
    silent = 1.0 - parameters.grant - parameters.deny
    at_home = choose_plain(draw, (silent, parameters.grant, parameters.deny), BLOCK)
    objects = draw.random(BLOCK) < parameters.opt_out_elsewhere
    grants = draw.random(BLOCK) < 0.08
    elsewhere = np.where(objects, _DENIED, np.where(grants, _GRANTED, _SILENT))
    first = np.where(asked, at_home, elsewhere)

    left = np.maximum(end - sign_up - 86_400, 0)
    withdrawal = sign_up + 3_600 + (draw.random(BLOCK) * left).astype(np.int64)
    withdraws = (first == _GRANTED) & (draw.random(BLOCK) < parameters.withdraw) & (withdrawal < end)
    regret = withdrawal + 3_600 + (draw.random(BLOCK) * (end - withdrawal)).astype(np.int64)
    returns = withdraws & (draw.random(BLOCK) < 0.15) & (regret < end)
    narrow = (first == _GRANTED) & (draw.random(BLOCK) < 0.01)
    narrowing = sign_up + 1_800
    by_address = withdraws & (draw.random(BLOCK) < 0.15) & ~people["shares_email"].to_numpy()
    by_address &= people["email_typed"].is_in(["plain", "capitals", "blanks"]).to_numpy()
    by_number = withdraws & ~by_address & (draw.random(BLOCK) < 0.05) & ~people["shares_phone"].to_numpy()
    by_number &= (people["phone_typed"] == "plain").to_numpy()
    personal = np.where(draw.random(BLOCK) < 0.85, first, _DENIED)
    platform = draw.integers(0, 3, BLOCK)

    everyone = np.full(BLOCK, len(_PLATFORMS) - 1)
    account = ~(by_address | by_number)
    signal = np.where(asked, _SIGN_UP, np.where(first == _DENIED, _SIGNAL, _SIGN_UP))
    advertising, personalisation = np.zeros(BLOCK, dtype=np.int64), np.ones(BLOCK, dtype=np.int64)
    granted, denied = np.full(BLOCK, _GRANTED), np.full(BLOCK, _DENIED)
    centre, service = np.full(BLOCK, _CENTRE), np.full(BLOCK, _SERVICE)
    said = first != _SILENT
    parts = [
        _statements(said, sign_up, first, advertising, everyone, signal),
        _statements(said & (draw.random(BLOCK) < 0.5), sign_up, personal, personalisation, everyone, signal),
        _statements(narrow & (narrowing < end), narrowing, denied, advertising, platform, centre),
        _statements(withdraws & account, withdrawal, denied, advertising, everyone, centre),
        _statements(withdraws & ~account, withdrawal, denied, advertising, everyone, service),
        _statements(returns, regret, granted, advertising, everyone, centre),
    ]
    columns = zip(*parts, strict=True)
    customer, second, status, purpose, where, source = (np.concatenate(column) for column in columns)
    byway = source == _SERVICE
    frame = pl.DataFrame(
        {
            "number": latent.number[customer],
            "second": second,
            "event_at": moments(parameters, second),
            "customer_id": customer_ids(latent.number[customer]),
            "email": people["typed_email"].gather(pl.Series(customer)),
            "phone": people["typed_phone"].gather(pl.Series(customer)),
            "status": pick(STATES, status),
            "purpose": pick(_PURPOSES, purpose),
            "platform": pick(_PLATFORMS, where),
            "source": pick(_SOURCES, source),
            "legal_basis": pick(_BASES, (status == _DENIED).astype(np.int64)),
            "_by_address": byway & by_address[customer],
            "_by_number": byway & by_number[customer],
        }
    ).with_columns(
        customer_id=pl.when(~pl.col("_by_address") & ~pl.col("_by_number")).then("customer_id"),
        email=pl.when("_by_address").then("email"),
        phone=pl.when("_by_number").then("phone"),
    )
    last = np.where(withdraws, np.where(returns, _GRANTED, _DENIED), first)
    return frame.sort("second", "number", "purpose").select("number", *CONSENT), pick(STATES, last)


def _statements(
    happened: Bools, second: Ints, status: Ints, purpose: Ints, platform: Ints, source: Ints
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    """The statements of those to whom it happened: customer, second, status, purpose, platform, source."""
    customer = np.flatnonzero(happened)
    return (
        customer,
        second[customer],
        status[customer],
        purpose[customer],
        platform[customer],
        source[customer],
    )
