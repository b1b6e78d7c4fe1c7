"""Where everybody stands with every platform, in the order of the profile: what a preview counts.

The refresh stores this table, so that a preview need not join anything.

The reasons are those of ``eligibility.standing`` and of nothing else; a preview therefore counts exactly the
people whom a delivery would send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.composition import coded, composition_fields
from audience_pipeline.audiences.eligibility import STANDING, standing
from audience_pipeline.audiences.holdouts import DEFAULT_SALT, held_out, person_hashes
from audience_pipeline.audiences.masks import Mask
from audience_pipeline.audiences.match_rate import Counts, signal_columns
from audience_pipeline.platforms.contract import CAPABILITIES, Capabilities, Platform

Codes = npt.NDArray[np.uint8]


def audience_standing(
    profile: pl.DataFrame,
    identifiers: pl.DataFrame,
    consent: pl.DataFrame,
    capabilities: Mapping[Platform, Capabilities] = CAPABILITIES,
    addresses: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Where each customer of a profile stands with each platform.

    Args:
        profile: ``customer_id, person_key, customer_no`` and the fields of ``composition.COMPOSED_OF``; only
            the first is needed.
        identifiers: one row per customer, with the columns that ``capabilities`` names.
        consent: one row per customer: ``opted_out``, ``advertising_<platform>``, ``opted_out_<platform>``.
        capabilities: the platforms.
        addresses: as for ``eligibility.opted_out``.

    Returns:
        One row per row of the profile, in its order: ``customer_no`` as the profile has it, ``person``
        (UInt64: ``holdouts.person_hashes``), ``<platform>_reason`` (UInt8: 0 may be sent, n the n-th of
        ``eligibility.STANDING``), ``<platform>_signals`` (UInt8: bit n, the n-th of
        ``match_rate.signal_columns`` is known), for each purpose that a platform asks for besides advertising
        ``<platform>_lacks_<purpose>`` (Boolean: agreed to advertising, but not to that), where ``consent``
        tells it, and the fields that audiences are described by, as Enum.
    """
    customers = profile.select("customer_id")
    keys = profile["person_key" if "person_key" in profile.columns else "customer_id"]
    found = [
        profile.select("^customer_no$"),
        pl.DataFrame({"person": person_hashes(keys)}, schema={"person": pl.UInt64}),
        pl.DataFrame([coded(profile[name]) for name in composition_fields(profile.columns)]),
    ]
    for platform, one in capabilities.items():
        found.append(
            customers.join(
                _lacking(consent, one), on="customer_id", how="left", maintain_order="left"
            ).select(pl.exclude("customer_id").fill_null(value=False))
        )
        decided = standing(identifiers, consent, one, addresses).select(
            "customer_id",
            pl.col("reason")
            .replace_strict(list(STANDING), range(1, len(STANDING) + 1), default=0, return_dtype=pl.UInt8)
            .alias(f"{platform.value}_reason"),
        )
        signals = identifiers.select(
            "customer_id",
            pl.sum_horizontal(
                (
                    pl.col(column).is_not_null().cast(pl.UInt8) * 2**bit
                    if column in identifiers.columns
                    else pl.lit(0, dtype=pl.UInt8)
                )
                for bit, column in enumerate(signal_columns(one))
            )
            .cast(pl.UInt8)
            .alias(f"{platform.value}_signals"),
        )
        found.append(
            customers.join(decided, on="customer_id", how="left", maintain_order="left", validate="1:1")
            .join(signals, on="customer_id", how="left", maintain_order="left", validate="1:1")
            .select(
                # Whoever neither table knows has not consented.
                pl.col(f"{platform.value}_reason").fill_null(STANDING.index("no_consent") + 1),
                pl.col(f"{platform.value}_signals").fill_null(0),
            )
        )
    return pl.concat(found, how="horizontal")


def _lacking(consent: pl.DataFrame, capabilities: Capabilities) -> pl.DataFrame:
    platform, there = capabilities.platform.value, set(consent.columns)
    return consent.select(
        "customer_id",
        *(
            (pl.col("advertising") & ~pl.col(f"{purpose}_{platform}")).alias(f"{platform}_lacks_{purpose}")
            for purpose in _besides(capabilities)
            if {"advertising", f"{purpose}_{platform}"} <= there
        ),
    )


def _besides(capabilities: Capabilities) -> list[str]:
    return [purpose for purpose in capabilities.purposes if purpose != "advertising"]


@dataclass(frozen=True, slots=True)
class Reached:
    """People of one audience on one platform, counted."""

    left_out: Mapping[str, int]
    """Number per reason of ``eligibility.REASONS``, in that order; each member counts once."""
    signals: Counts
    """Those who can be sent, by the identifiers that they have (``match_rate.signal_columns``)."""
    unreached: Counts
    """Those whom only the want of an identifier keeps away, in the same way."""
    lacking: Mapping[str, int]
    """Per purpose that the platform asks for besides advertising: those left out for ``no_consent`` who have
    agreed to advertising, but not to that purpose; only where it is known."""

    @property
    def sendable(self) -> int:
        """How many can be sent."""
        return int(self.signals.sum())


class Reach:
    """Counts any set of customers on each platform in milliseconds."""

    def __init__(
        self, table: pl.DataFrame, capabilities: Mapping[Platform, Capabilities] = CAPABILITIES
    ) -> None:
        """Take the table that :func:`audience_standing` makes."""
        self.rows = table.height
        self._people = table["person"].to_numpy()
        self._bits = {platform: len(signal_columns(one)) for platform, one in capabilities.items()}
        self._codes = {
            platform: table[f"{platform.value}_reason"].to_numpy().astype(np.uint16) << bits
            | table[f"{platform.value}_signals"].to_numpy()
            for platform, bits in self._bits.items()
        }
        refused = STANDING.index("no_consent") + 1
        self._lacking = {
            platform: {
                purpose: (
                    (table[f"{platform.value}_reason"] == refused)
                    & table[f"{platform.value}_lacks_{purpose}"]
                ).to_numpy()
                for purpose in _besides(one)
                if f"{platform.value}_lacks_{purpose}" in table.columns
            }
            for platform, one in capabilities.items()
        }

    def count(
        self, members: Mask, audience: str, holdout_percent: float, *, salt: str = DEFAULT_SALT
    ) -> Mapping[Platform, Reached]:
        """Count the members of an audience on every platform.

        Args:
            members: who is in the audience, row by row of the profile.
            audience: its name, from which its holdout is drawn.
            holdout_percent: the share of it that must not be sent.
            salt: what makes the holdouts of this workspace its own.
        """
        chosen = np.flatnonzero(members)
        held = held_out(self._people[chosen], audience, holdout_percent, salt=salt)
        sent, held_back = chosen[~held], int(np.count_nonzero(held))
        return {platform: self._reached(platform, sent, held_back) for platform in self._codes}

    def _reached(self, platform: Platform, sent: npt.NDArray[np.intp], held_back: int) -> Reached:
        bits = self._bits[platform]
        counted = np.bincount(self._codes[platform][sent], minlength=(len(STANDING) + 1) << bits)
        by_reason = counted.reshape(len(STANDING) + 1, 1 << bits)
        reasons = dict(zip(STANDING, by_reason[1:].sum(axis=1).tolist(), strict=True))
        return Reached(
            left_out={"holdout": held_back, **reasons},
            signals=by_reason[0],
            unreached=by_reason[STANDING.index("no_identifier") + 1],
            lacking={
                purpose: int(np.count_nonzero(lacks[sent]))
                for purpose, lacks in self._lacking[platform].items()
            },
        )
