"""One call to TikTok: its parameters, read strictly, and its errors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.wire import parse_json
from audience_pipeline.sandbox.world import World


class TikTokError(Exception):
    """A code other than 0 and its message."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class TikTokCall:
    """One call. Unknown parameters are ignored, as by the real service."""

    world: World
    parameters: dict[str, Any] = field(repr=False)

    def text(self, name: str, *, longest: int = 1_000) -> str:
        """A parameter of text that must be there."""
        value = self.parameters.get(name)
        if value is None or value == "":
            raise TikTokError(40002, f"{name}: Missing data for required field.")
        if not isinstance(value, str):
            raise TikTokError(40002, f"{name}: Not a valid string.")
        if len(value) > longest:
            raise TikTokError(40002, f"{name}: Longer than maximum length {longest}.")
        return value

    def account(self) -> str:
        """``advertiser_id``."""
        value = self.text("advertiser_id")
        if not value.isdigit():
            raise TikTokError(40002, "advertiser_id: Not a valid id.")
        return value

    def choice(self, name: str, values: Collection[str], default: str | None = None) -> str:
        """A parameter with a closed set of values."""
        if default is not None and name not in self.parameters:
            return default
        value = self.text(name)
        if value not in values:
            raise TikTokError(40002, f"{name}: Must be one of: {', '.join(values)}.")
        return value

    def number(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number within bounds, as number or, in a query, as digits."""
        value: object = self.parameters.get(name, default)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise TikTokError(40002, f"{name}: Must be a number from {low} to {high}.")
        return value

    def texts(self, name: str, *, most: int) -> list[str]:
        """A list of 1 to ``most`` texts; in a query as JSON text."""
        value = self.parameters.get(name)
        if isinstance(value, str):
            try:
                value = parse_json(value)
            except ValueError:
                raise TikTokError(40002, f"{name}: Not a valid list.") from None
        if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
            raise TikTokError(40002, f"{name}: Must be a list of strings that is not empty.")
        if len(value) > most:
            raise TikTokError(40002, f"{name}: Longer than maximum length {most}.")
        return value

    def audience(self, audience_id: str, account: str) -> Audience:
        """The audience of an advertiser."""
        found = self.world.state.audience("tiktok", audience_id)
        if found is None:
            raise TikTokError(40007, f"Audience {audience_id} does not exist")
        if found.account != account:
            raise TikTokError(40001, f"Advertiser {account} has no permission for audience {audience_id}")
        return found
