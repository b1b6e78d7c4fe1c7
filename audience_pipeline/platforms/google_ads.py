"""What the Google Ads API says of lists beyond the Data Manager API: match rates and ranges of sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from audience_pipeline.platforms.answers import count, dicts, mapping
from audience_pipeline.platforms.contract import PlatformError, RemoteAudience, TransientPlatformError
from audience_pipeline.platforms.google_answers import whole_percent
from audience_pipeline.platforms.http import Transport

BASE_URL = "https://googleads.googleapis.com"
VERSION = "v26"
QUERY = (
    "SELECT user_list.id, user_list.size_for_display, user_list.size_for_search, "
    "user_list.size_range_for_display, user_list.size_range_for_search, user_list.match_rate_percentage "
    "FROM user_list"
)
SHORTEST = "SELECT user_list.id FROM user_list LIMIT 1"
_KEPT = 300.0
"""Seconds: operations of a day are few, and these figures change slowly."""
_NUMBERS = {"ONE": 1, "TWO": 2, "THREE": 3, "FIVE": 5, "TEN": 10, "TWENTY": 20, "THIRTY": 30, "FIFTY": 50}
_SCALES = {"HUNDRED": 100, "THOUSAND": 1_000, "MILLION": 1_000_000}
_RANGE = re.compile(r"([A-Z_]+)_TO_([A-Z_]+)")


@dataclass(frozen=True, slots=True)
class ListFacts:
    """Bounds of the size, and of the match rate from 0 to 1; None where nothing is said."""

    low: int | None
    high: int | None
    match_rate: tuple[float, float] | None


class AdsReader:
    """Reads all lists of an account at once, and gives up for good where it is not allowed to."""

    def __init__(
        self, transport: Transport, account: str, login_account: str, clock: Callable[[], float]
    ) -> None:
        """``login_account`` is the manager account, or empty."""
        self._http = transport
        self._path = f"/{VERSION}/customers/{account}/googleAds:search"
        self._headers = {"login-customer-id": login_account} if login_account else {}
        self._clock = clock
        self._allowed = True
        self._known: dict[str, ListFacts] = {}
        self._read_at = float("-inf")

    def completed(self, audience: RemoteAudience) -> RemoteAudience:
        """The audience with what it lacks, as far as it can be read."""
        if audience.match_rate is not None and audience.size_high is not None:
            return audience
        facts = self._facts().get(audience.remote_id)
        if facts is None:
            return audience
        if audience.size_high is None:
            audience = replace(audience, size_low=facts.low, size_high=facts.high)
        return replace(audience, match_rate=audience.match_rate or facts.match_rate)

    def try_out(self) -> None:
        """Ask for as little as possible.

        Raises:
            PlatformError: the API does not answer, or not to us.
        """
        self._search(SHORTEST)

    def _facts(self) -> Mapping[str, ListFacts]:
        if not self._allowed or self._clock() - self._read_at <= _KEPT:
            return self._known
        self._read_at = self._clock()
        try:
            rows = self._search(QUERY)
        except TransientPlatformError:
            return self._known
        except PlatformError:
            self._allowed = False
            return {}
        self._known = {str(row.get("id")): _facts_of(row) for row in rows}
        return self._known

    def _search(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        body = {"query": query}
        while True:
            page = self._http.call("POST", self._path, body=body, headers=self._headers, retry=False)
            rows.extend(mapping(result.get("userList")) for result in dicts(page.get("results")))
            token = page.get("nextPageToken")
            if not token:
                return rows
            body = {"query": query, "pageToken": str(token)}


def _facts_of(row: Mapping[str, Any]) -> ListFacts:
    sizes = [size for name in ("Display", "Search") if (size := count(row.get(f"sizeFor{name}")))]
    ranges = [bounds for name in ("Display", "Search") if (bounds := _bounds(row.get(f"sizeRangeFor{name}")))]
    lows, highs = sizes or [low for low, _ in ranges], sizes or [high for _, high in ranges]
    rate = count(row.get("matchRatePercentage"))
    return ListFacts(min(lows, default=None), max(highs, default=None), whole_percent(rate))


def _bounds(name: object) -> tuple[int, int] | None:
    """The bounds of a range such as ``TEN_THOUSAND_TO_FIFTY_THOUSAND``.

    None for those below a thousand, too: lists that are not computed yet have them.
    """
    found = _RANGE.fullmatch(str(name))
    if found is None:
        return None
    low, high = (_number(words) for words in found.groups())
    return (low, high) if low and high else None


def _number(words: str) -> int:
    """``ONE_HUNDRED_THOUSAND`` as 100,000; 0 for what is no number."""
    first, *scales = words.split("_")
    number = _NUMBERS.get(first, 0)
    for scale in scales:
        number *= _SCALES.get(scale, 0)
    return number
