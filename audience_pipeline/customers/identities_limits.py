"""When an identifier, or a group of source ids, is taken for that of more than one person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdentityLimits:
    """The most that one person has; what is more is refused."""

    email: int = 5
    """Source ids (browsers not counted) with one e-mail address; more are an office, a family, a default."""
    loyalty: int = 3
    """Source ids with one loyalty card."""
    phone: int = 3
    """Source ids with one phone number."""
    device: int = 3
    """Source ids with one advertising id of a device."""
    anonymous: int = 3
    """Source ids that logged in from one browser; more are a terminal in a shop."""
    click: int = 1
    """Source ids that came with one click on an ad. Such links are passed on to friends: a click tells to
    whom a browser belongs, and joins no two customers."""
    browsers_of_a_click: int = 2
    """Browsers with one click on an ad."""
    component: int = 20
    """Source ids of one customer, browsers not counted."""
    browsers: int = 200
    """Browsers of one customer."""
