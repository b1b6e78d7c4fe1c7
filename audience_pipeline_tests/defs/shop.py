"""A shop of a few customers, as a refresh leaves it: what deliveries are tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from pyroaring import BitMap

from audience_pipeline.audiences.stored import STORED_SCHEMA
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.defs.privacy import request
from audience_pipeline.defs.storage import table_path, write_table
from audience_pipeline.ledger import refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.sections import Consent
from audience_pipeline.settings import Config, Settings
from audience_pipeline.sources.requests import one_person

AS_OF = date(2026, 3, 1)
SILENCE_MEANS_YES = Consent(
    needed_in=(), unknown_country_needs_consent=False, advertising_covers_personalisation=True
)


def email(customer: str) -> bytes:
    """The hash of somebody's address."""
    return hashlib.sha256(f"{customer}@example.com".encode()).digest()


@dataclass
class Shop:
    """A workspace with customers c0 to c9, all of whom may be sent until they say otherwise."""

    settings: Settings
    ledger: Ledger
    customers: tuple[str, ...] = tuple(f"c{number}" for number in range(10))

    @classmethod
    def at(cls, home: Path, ledger: Ledger | None = None, **config: object) -> Shop:
        """A shop in a folder, without audiences."""
        said = Config(consent=SILENCE_MEANS_YES, **config)  # type: ignore[arg-type]
        env = {"AUDIENCE_IN_PROCESS": "1", "AUDIENCE_DEFINITIONS": str(home / "audiences")}
        settings = Settings.at(home, said, env)
        settings.audiences.mkdir(parents=True)
        shop = cls(settings, ledger or Ledger.open(settings.ledger_url))
        shop.know(shop.customers)
        return shop

    def know(
        self, customers: Collection[str], addresses: Mapping[str, str] | None = None, **merged: str
    ) -> None:
        """Write the tables of the date.

        Args:
            customers: everybody.
            addresses: customers who have the address of another one.
            merged: source id to the customer whom it belongs to by now.
        """
        ids = sorted(customers)
        numbers = [int(one.removeprefix("c")) for one in ids]
        hashes = [email((addresses or {}).get(one, one)) for one in ids]
        known = pl.DataFrame({"customer_id": ids}).with_columns(
            pl.Series(name, hashes, dtype=pl.Binary)
            if name.endswith("_email")
            else pl.lit(None, dtype).alias(name)
            for name, dtype in IDENTIFIERS_SCHEMA.items()
            if name != "customer_id"
        )
        sources = {**{one: one for one in ids}, **merged}
        tables = {
            "customer_profile": pl.DataFrame(
                {"customer_id": ids, "customer_no": pl.Series(numbers, dtype=pl.UInt32)}
            ),
            "consent": pl.DataFrame(
                {
                    "customer_id": ids,
                    **dict.fromkeys(("opted_out", *(f"opted_out_{one}" for one in Platform)), False),
                    **{f"advertising_{one}": True for one in Platform},
                }
            ),
            "identifiers": known,
            "identities": pl.DataFrame({"source_id": list(sources), "customer_id": list(sources.values())}),
        }
        for name, table in tables.items():
            write_table(table_path(self.settings.lake, name, AS_OF.isoformat()), table)

    def define(self, name: str, text: str = "", platforms: str = "[meta]") -> None:
        """Write the file of an audience; what it asks for does not matter."""
        (self.settings.audiences / f"{name}.yaml").write_text(
            text
            or f"name: {name}\ndescription: The people of {name}.\ninclude: {{where: orders > 0}}\n"
            f"platforms: {platforms}\n"
        )

    def refreshed(
        self,
        members: Mapping[str, Collection[int]],
        *,
        holdout: Mapping[str, Collection[int]] | None = None,
        not_evaluated: Mapping[str, str] | None = None,
        numbering: str = "",
    ) -> None:
        """Store the memberships of the date, and note that it is complete."""
        rows = [
            (
                name,
                len(numbers),
                len((holdout or {}).get(name, ())),
                BitMap(numbers).serialize(),
                BitMap((holdout or {}).get(name, ())).serialize(),
                name,
                numbering,
            )
            for name, numbers in members.items()
        ]
        path = table_path(self.settings.lake, "audience_memberships", AS_OF.isoformat())
        write_table(path, pl.DataFrame(rows, schema=STORED_SCHEMA, orient="row"))
        details = {"audiences": list(members), "not_evaluated": dict(not_evaluated or {})}
        refreshes.record(self.ledger, AS_OF, 1, details)

    def opts_out(self, customer: str) -> None:
        """Somebody asks to be in no audience any more."""
        request(self.settings, self.ledger, one_person(customer, None), "denied")
