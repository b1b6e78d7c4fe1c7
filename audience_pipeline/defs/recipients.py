"""Who may be sent to one platform, worked out once for all of its audiences."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences import eligibility
from audience_pipeline.audiences.errors import MembershipError
from audience_pipeline.audiences.stored import StoredMembers
from audience_pipeline.defs.addresses import addresses_of_opted_out
from audience_pipeline.defs.consent import decided
from audience_pipeline.defs.numbers import numbering
from audience_pipeline.defs.storage import table_path
from audience_pipeline.delivery.recipients import PEOPLE, recipients
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, MemberState
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Settings

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stated:
    """The customers of a date and what they have agreed to by now: the same for every platform."""

    customers: pl.DataFrame
    """``customer_id, customer_no``, as the profile has them."""
    identities: pl.DataFrame | None
    """``source_id, customer_id``."""
    consent: pl.DataFrame
    addresses: pl.DataFrame
    """What those who opted out anywhere were ever known by."""

    def any_id_of(self, customers: pl.DataFrame) -> pl.Series:
        """Ids of customers (``customer_id``), and those that became theirs by a merge.

        Somebody who was delivered before a merge is there under the id of that time.
        """
        if self.identities is None:
            return customers["customer_id"]
        merged = self.identities.join(customers, on="customer_id", how="semi")["source_id"]
        return pl.concat([customers["customer_id"], merged]).unique()


_GATHERED: WeakValueDictionary[tuple[object, ...], Stated] = WeakValueDictionary()
_GATHERING = threading.Lock()


def stated(settings: Settings, ledger: Ledger, as_of: date, statements: int) -> Stated:
    """Decide consent with every statement there is: clocks differ, and what is dated tomorrow counts.

    Deliveries to several platforms that run side by side in one process share what they gather.

    Args:
        settings: the workspace.
        ledger: knows what has landed.
        as_of: the day of the memberships that are sent.
        statements: sequence of the newest landing.
    """
    with _GATHERING:
        known = (settings.lake, as_of, statements)
        found = _GATHERED.get(known)
        if found is None:
            found = _GATHERED[known] = _stated(settings, ledger, as_of.isoformat())
        return found


def _stated(settings: Settings, ledger: Ledger, day: str) -> Stated:
    profile = table_path(settings.lake, "customer_profile", day)
    customers = pl.read_parquet(profile, columns=["customer_id", "customer_no"])
    people = table_path(settings.lake, "identities", day)
    same = pl.read_parquet(people, columns=["source_id", "customer_id"]) if people.is_file() else None
    consent = decided(
        settings,
        ledger,
        date.max,
        customers.lazy().select("customer_id"),
        None if same is None else same.lazy(),
    )
    said = consent.select("customer_id", "^opted_out.*$", "^advertising_.*$").collect()
    return Stated(customers, same, said, addresses_of_opted_out(settings, date.max, said, same))


class Recipients:
    """The people of one platform, and which of them each audience should hold."""

    def __init__(self, settings: Settings, as_of: date, platform: Platform, known: Stated) -> None:
        """Work out who may be sent to a platform.

        Args:
            settings: the workspace.
            as_of: the day of the memberships; its tables are there.
            platform: where people are sent.
            known: what they have agreed to.
        """
        self.platform, self._known, self._lake = platform, known, settings.lake
        self._day = as_of.isoformat()
        capabilities = CAPABILITIES[platform]
        identifiers = pl.read_parquet(table_path(settings.lake, "identifiers", self._day))
        standing = eligibility.standing(identifiers, known.consent, capabilities, known.addresses)
        self.consent_lost = frozenset(known.any_id_of(eligibility.without_consent(standing)))
        """Everybody who may not be there, by every id that was ever theirs."""
        may = eligibility.sendable(standing)
        reached = recipients(platform, identifiers)
        self._sendable = reached.join(may, on="customer_id", how="semi", maintain_order="left")

    @property
    def nobody(self) -> pl.DataFrame:
        """RECIPIENTS without a row."""
        return self._sendable.clear()

    def check(self, audience: str) -> None:
        """Make sure that :meth:`wanted` will answer.

        Raises:
            MembershipError: the stored memberships cannot be read.
        """
        self._rows(audience)

    def wanted(self, audience: str) -> pl.DataFrame:
        """RECIPIENTS of whom an audience should hold.

        Raises:
            MembershipError: the stored memberships cannot be read.
        """
        found: pl.DataFrame = self._sendable[self._rows(audience)]
        return found

    def kept(self, store: MemberStore, key: AudienceKey) -> pl.DataFrame:
        """RECIPIENTS of those whom an audience holds already and who may still be sent, as they were sent."""
        there = store.members(key).filter(pl.col("state") != MemberState.REMOVING.value)
        may = [customer in self._may_stay for customer in there["customer_id"]]
        staying = (
            there.filter(pl.Series(may, dtype=pl.Boolean))
            # Of somebody who is there twice the newer variant stays.
            .sort("customer_id", "delivered_at", "fingerprint")
            .unique("customer_id", keep="last", maintain_order=True)
        )
        sent = store.variants(self.platform).of(staying.select(*PEOPLE))
        return sent.sort("customer_id").select(self._sendable.columns)

    def _rows(self, audience: str) -> Rows:
        """Rows of those who may be sent, ascending."""
        if isinstance(self._stored, MembershipError):
            raise self._stored
        members, held = self._stored.rows(audience)
        places = self._place_of[members[~held]]
        return np.sort(places[places >= 0])

    @cached_property
    def _stored(self) -> StoredMembers | MembershipError:
        numbers = self._known.customers["customer_no"].to_numpy()
        path = table_path(self._lake, "audience_memberships", self._day)
        try:
            return StoredMembers(path, numbers, numbering=numbering(self._lake))
        except MembershipError as error:
            return error

    @cached_property
    def _place_of(self) -> Rows:
        """Row of the profile to row of those who may be sent; -1 for everybody else."""
        places = self._sendable.select("customer_id").with_row_index("place")
        joined = self._known.customers.join(places, on="customer_id", how="left", maintain_order="left")
        return joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()

    @cached_property
    def _may_stay(self) -> frozenset[str]:
        """Everybody who may be there, by every id that was ever theirs, reachable or not."""
        allowed = self._known.consent.filter(f"advertising_{self.platform.value}").select("customer_id")
        return frozenset(self._known.any_id_of(allowed)) - self.consent_lost
