"""What happened to a file: every count that a person wants, and that they add up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from audience_pipeline.ledger.landings import Landing
from audience_pipeline.sources.contract import Kind


@dataclass(frozen=True, slots=True)
class QuarantineCount:
    """Rows with one fault in one field. A row with faults in two fields counts in both."""

    field: str
    reason: str
    rows: int
    first_lines: tuple[int, ...]
    """Where the first few of them are in the file."""


@dataclass(frozen=True, slots=True)
class RepeatedDay:
    """A day that the file holds several times over."""

    day: date
    times: int
    dropped: int
    """Lines left out, so that each occurs as often as in one copy of the day."""


class BalanceError(Exception):
    """The rows of a file do not add up; nothing may land."""


@dataclass(frozen=True, slots=True)
class LandingReport:
    """The landing of one file. Counts are rows, amounts are minor units of ``currency``."""

    file: str
    kind: Kind
    landing_id: str
    file_sha256: str
    rows_read: int
    landed: int
    known: int = 0
    """Rows that earlier files brought already."""
    repeated: int = 0
    """Rows of days that the file repeats as a whole; some of them may be in quarantine as well."""
    repeated_days: tuple[RepeatedDay, ...] = ()
    quarantined: int = 0
    repeated_and_quarantined: int = 0
    erased: int = 0
    """Of those in quarantine: rows of people who were erased."""
    quarantine: tuple[QuarantineCount, ...] = ()
    unit: str = "line"
    """What ``first_lines`` counts: lines of the file, or rows of a Parquet file."""
    notices: tuple[str, ...] = ()
    customers: int = 0
    """Customers with landed rows."""
    first_date: date | None = None
    last_date: date | None = None
    undated: int = 0
    """Landed rows without a date, which have always been so; only contacts can be."""
    total_minor: int | None = None
    """Sum of the landed amounts; None for kinds without."""
    currency: str | None = None
    landed_before: bool = False
    """This very file had landed already, and nothing was done."""

    def __post_init__(self) -> None:
        """Raise BalanceError unless each row that was read is accounted for exactly once."""
        accounted = self.landed + self.known + self.repeated + self.quarantined
        if self.rows_read != accounted - self.repeated_and_quarantined:
            raise BalanceError(
                f"{self.file}: {self.balance} does not add up; please report this as a defect."
            )

    @property
    def balance(self) -> str:
        """The account of all rows in words."""
        both = f" - {self.repeated_and_quarantined:,} both" if self.repeated_and_quarantined else ""
        return (
            f"{self.rows_read:,} read = {self.landed:,} landed + {self.known:,} known "
            f"+ {self.repeated:,} repeated + {self.quarantined:,} in quarantine{both}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        data = asdict(self)
        for name in ("first_date", "last_date"):
            data[name] = data[name].isoformat() if data[name] else None
        data["kind"] = self.kind.value
        data["repeated_days"] = [{**each, "day": each["day"].isoformat()} for each in data["repeated_days"]]
        data["quarantine"] = [
            {**each, "first_lines": list(each["first_lines"])} for each in data["quarantine"]
        ]
        data["notices"] = list(self.notices)
        return {**data, "balance": self.balance}

    def with_notices(self, *notices: str) -> LandingReport:
        """The same report, saying more."""
        return replace(self, notices=(*self.notices, *notices))

    @classmethod
    def unchanged(cls, file: str, landing: Landing) -> LandingReport:
        """The report on a file that has landed before."""
        when = f"{landing.landed_at:%Y-%m-%d %H:%M} UTC"
        return cls(
            file=file,
            kind=Kind(landing.kind),
            landing_id=landing.landing_id,
            file_sha256=landing.file_sha256,
            rows_read=landing.rows_read,
            landed=0,
            known=landing.rows_read,
            currency=landing.currency,
            landed_before=True,
            notices=(f"this file landed on {when} as {landing.file_name}: nothing was added",),
        )
