"""What customers do, as ``did`` asks for it: the events and their properties."""

from __future__ import annotations

from collections.abc import Mapping

from audience_pipeline.audiences.fields import DAYPARTS, WEEKDAYS, Field
from audience_pipeline.sources.contract import ENGAGEMENT_EVENTS, WEB_EVENTS

__all__ = ["DAYPARTS", "EVENTS", "PROPERTIES", "SHOP_EVENTS", "WEEKDAYS"]

SHOP_EVENTS = ("order", "return", "item_bought")
"""An order and a return count once each, without category; an item once per line, with its category."""

EVENTS: Mapping[str, str] = {
    **{event: f"web:{event}" for event in WEB_EVENTS},
    **{event: f"engagement:{event}" for event in ENGAGEMENT_EVENTS},
    **{event: f"shop:{event}" for event in SHOP_EVENTS},
}
"""Event of a definition to ``activity`` of the mart ``customer_activity``."""


def _property(name: str, meaning: str, example: str, *allowed: str) -> Field:
    return Field(name, "text", "", meaning, "customer_activity", example, allowed)


PROPERTIES: Mapping[str, Field] = {
    field.name: field
    for field in (
        _property("category", "category of the product or page", "shoes"),
        _property("device", "kind of device", "mobile"),
        _property("channel", "where the visit, message or sale came from", "paid_social"),
        _property("source", "utm_source of the visit", "meta"),
        _property("medium", "utm_medium of the visit", "cpc"),
        _property("campaign", "utm_campaign of the visit, or the message", "spring"),
        _property("daypart", "part of the day", "evening", *DAYPARTS),
        _property("weekday", "day of the week", "sat", *WEEKDAYS),
    )
}
"""The properties of an event that a condition may ask for; null where an event has none."""
