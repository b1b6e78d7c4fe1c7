"""What a preview wants to know of the ledger, read in milliseconds where the ledger is a file.

Loading SQLAlchemy takes longer than a whole preview may; the questions are asked through it all the same
where the ledger is a server, or a file that is not of this version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

_URL = "sqlite:///"
_VERSION = "select version_num from alembic_version"
_COMPLETE = "select as_of from refreshes order by as_of"
_STALE = """
    select as_of from refreshes where exists (
        select 1 from landings
        where landings.sequence > refreshes.landing_sequence and landings.first_date <= refreshes.as_of
          and landings.rows_landed > 0)
    order by as_of
"""
_RATES = """
    with done as (
        select *, max(started_at) over (partition by platform, account, audience) as newest
        from deliveries where state in ('settled', 'unchanged', 'processing'))
    select known.platform, known.audience, sum(done.wanted), avg(match_rate_low), avg(match_rate_high)
    from platform_audiences as known
    join done on done.platform = known.platform and done.account = known.account
        and done.audience = known.audience and done.started_at = done.newest
    where match_rate_low is not null and match_rate_high is not null
    group by known.platform, known.audience order by known.platform, known.audience
"""


@dataclass(frozen=True, slots=True)
class Glance:
    """Dates and match rates that the ledger knows."""

    complete: Sequence[date]
    """As-of dates that are complete, earliest first."""
    stale: Sequence[date]
    """Those of them that a later landing brought rows for."""
    rates: Sequence[tuple[str, str, int, float, float]]
    """Platform, audience, people and the bounds of the match rate of what was delivered."""


def glance(url: str, version: str) -> Glance:
    """Look into a ledger.

    Args:
        url: its SQLAlchemy URL.
        version: the version of the schema that this program writes.
    """
    path = Path(url.removeprefix(_URL))
    if url.startswith(_URL) and path.is_file():
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
                if file.execute(_VERSION).fetchone() == (version,):
                    return Glance(
                        [date.fromisoformat(day) for (day,) in file.execute(_COMPLETE)],
                        [date.fromisoformat(day) for (day,) in file.execute(_STALE)],
                        file.execute(_RATES).fetchall(),
                    )
        except sqlite3.Error:
            # A file that cannot be read like this may still be one that the ledger can bring up to date.
            return through_sqlalchemy(url)
    return through_sqlalchemy(url)


def through_sqlalchemy(url: str) -> Glance:
    """The same questions, asked of any database."""
    from audience_pipeline.ledger import refreshes
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.ledger.match_rates import known_rates

    with Ledger.open(url) as ledger:
        complete = [refresh.as_of for refresh in refreshes.completed(ledger)]
        stale = refreshes.stale(ledger)
        with ledger.reading() as connection:
            rates = [
                (one.platform, one.audience, one.people, one.low, one.high) for one in known_rates(connection)
            ]
    return Glance(complete, stale, rates)
