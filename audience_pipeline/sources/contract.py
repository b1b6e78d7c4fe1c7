"""What the files of each kind hold and what lands of them: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from audience_pipeline.identifiers import CODES, WORDS, ContactPatterns


class Kind(StrEnum):
    """A kind of file. Its value names the inbox folder and the command line's argument."""

    TRANSACTIONS = "transactions"
    CRM = "crm"
    WEB = "web"
    ENGAGEMENT = "engagement"
    CONSENT = "consent"

    @property
    def dataset(self) -> str:
        """The landed table: folder in the lake and name of the asset."""
        return _DATASETS[self.value]


_DATASETS = {
    "transactions": "transactions",
    "crm": "crm_contacts",
    "web": "web_events",
    "engagement": "engagement_events",
    "consent": "consent_events",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file."""

    name: str
    type: str
    """What a value is, in a word: text, date, moment, amount, number, code."""
    description: str
    example: str
    required: bool = False
    choices: tuple[str, ...] = ()
    """The values that are allowed; empty where any is."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The columns of one kind of file."""

    kind: Kind
    columns: tuple[Column, ...]
    one_of: tuple[str, ...] = ()
    """At least one of these columns must be there."""
    instead: tuple[str, ...] = ()
    """Columns that name the person where ``customer_id`` is absent or empty, the best one first."""
    day: str = "event_at"
    """The column that dates a row."""
    lost: Mapping[str, str] | None = None
    """What is lost when an optional column is absent or empty."""

    @property
    def names(self) -> tuple[str, ...]:
        """All column names."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def person(self) -> tuple[str, ...]:
        """Columns of which a row must have one: they say whose it is."""
        return ("customer_id", *self.instead)

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


WEB_EVENTS = ("page_view", "product_view", "add_to_cart", "checkout", "purchase", "search")
ENGAGEMENT_EVENTS = ("email_sent", "email_open", "email_click", "sms_sent", "sms_click", "unsubscribe")

_CUSTOMER = Column("customer_id", "text", "The shop's own id of the customer", "C1042", required=True)
_ORDER = Column("order_id", "text", "The shop's id of the order", "A-7731")
_COUPON = Column("coupon", "text", "Code that was redeemed", "SPRING10")
_LOYALTY = Column("loyalty_id", "text", "Number of the loyalty card", "L-500123")
_BROWSER = Column("anonymous_id", "text", "Id of the browser or app before a customer is known", "a81f")
_DEVICE = Column(
    "device_id", "text", "Advertising id of the phone (IDFA or GAID)", "6d92078a-8246-4ba4-ae5b-76104861e7dc"
)
_EMAIL = Column("email", "text", "E-mail address; only hashes of it are kept", "ann@example.com")
_PHONE = Column("phone", "text", "Phone number; only hashes of it are kept", "+1 212 555 0123")

CONTRACTS: Mapping[Kind, Contract] = {
    Kind.TRANSACTIONS: Contract(
        Kind.TRANSACTIONS,
        (
            _CUSTOMER,
            Column("transaction_date", "date", "Day of the sale or return, with or without a time",
                   "2025-03-31", required=True),
            Column("transaction_amount", "amount", "Amount of the line; negative is a return",
                   "129.90", required=True),
            Column("product_category", "text", "Category of the product", "shoes"),
            _ORDER,
            Column("quantity", "number", "Pieces", "2"),
            Column("currency", "code", "ISO 4217 code of the amount's currency", "EUR"),
            Column("channel", "text", "Where the sale came from", "paid_search"),
            Column("discount", "amount", "What the line was reduced by, 0 or more; empty is none", "12.99"),
            _COUPON,
            _LOYALTY,
        ),
        instead=("loyalty_id",),
        day="transaction_date",
        lost={"product_category": "category preferences, and segments and audiences by category"},
    ),
    Kind.CRM: Contract(
        Kind.CRM,
        (
            _CUSTOMER,
            _EMAIL,
            _PHONE,
            Column("first_name", "text", "First name; only hashes of it are kept", "Ann"),
            Column("last_name", "text", "Last name; only hashes of it are kept", "Example"),
            Column("country", "code", "ISO code or name of the country", "US"),
            Column("postal_code", "text", "Postal code", "10001"),
            Column("city", "text", "City; not kept", "New York"),
            Column("state", "text", "State or region", "NY"),
            Column("birth_date", "date", "Date of birth; only the year is kept", "1985-07-01"),
            Column("gender", "code", "m or f", "f"),
            Column("updated_at", "moment", "Since when this is so; without it, always", "2025-03-31"),
            _LOYALTY,
            _DEVICE,
            Column("anonymous_id", "text", "Id of the browser that filled in the form", "a81f"),
        ),
        one_of=("email", "phone", "first_name", "last_name", "country", "postal_code", "state", "birth_date",
                "gender", "loyalty_id", "device_id", "anonymous_id"),
        instead=("loyalty_id", "email", "phone"),
        day="updated_at",
        lost={"email": "most matches on the platforms", "phone": "matches by phone number"},
    ),
    Kind.WEB: Contract(
        Kind.WEB,
        (
            Column("event_at", "moment", "When it happened", "2025-03-31T10:15:00Z", required=True),
            Column("event", "code", "What happened", "product_view", required=True, choices=WEB_EVENTS),
            Column("customer_id", "text", "The shop's own id of the customer", "C1042"),
            _BROWSER,
            Column("category", "text", "Category of the product or page", "shoes"),
            Column("device", "text", "Kind of device", "mobile"),
            Column("channel", "text", "Where the visit came from", "paid_social"),
            Column("utm_source", "text", "utm_source of the visit", "meta"),
            Column("utm_medium", "text", "utm_medium of the visit", "cpc"),
            Column("utm_campaign", "text", "utm_campaign of the visit", "spring"),
            Column("click_id", "text", "Click id of the ad platform", "gclid-1"),
            _ORDER,
            Column("gpc", "yes or no", "The browser sends Global Privacy Control", "true"),
            _COUPON,
            _DEVICE,
            _LOYALTY,
        ),
        one_of=("customer_id", "anonymous_id"),
        instead=("anonymous_id",),
    ),
    Kind.ENGAGEMENT: Contract(
        Kind.ENGAGEMENT,
        (
            Column("event_at", "moment", "When it happened", "2025-03-31T10:15:00Z", required=True),
            _CUSTOMER,
            Column("event", "code", "What happened", "email_open", required=True, choices=ENGAGEMENT_EVENTS),
            Column("campaign", "text", "The message", "spring-sale"),
            Column("channel", "text", "email, sms or push", "email"),
            _EMAIL,
        ),
        instead=("email",),
    ),
    Kind.CONSENT: Contract(
        Kind.CONSENT,
        (
            Column("event_at", "moment", "When it was stated", "2025-03-31T10:15:00Z", required=True),
            Column("status", "code", "What was stated; erase is a request to delete the person", "denied",
                   required=True, choices=("granted", "denied", "erase")),
            Column("purpose", "code", "What for; advertising unless said", "advertising",
                   choices=("advertising", "personalisation")),
            Column("customer_id", "text", "The shop's own id of the customer", "C1042"),
            _EMAIL,
            _PHONE,
            Column("platform", "code", "The one platform it is about; empty is all", "meta",
                   choices=("meta", "google", "tiktok")),
            Column("source", "text", "Where it was stated", "checkout"),
            Column("legal_basis", "text", "Legal basis", "consent"),
            Column("signal", "code", "The legal signal that it came by, if any", "gpc",
                   choices=("gpc", "ccpa")),
        ),
        one_of=("customer_id", "email", "phone"),
        instead=("email", "phone"),
    ),
}  # fmt: skip

FREE_TEXT: Mapping[Kind, Mapping[str, ContactPatterns]] = {
    Kind.TRANSACTIONS: {"product_category": WORDS, "order_id": CODES, "channel": WORDS, "coupon": CODES},
    Kind.CRM: {"postal_code": CODES, "state": CODES, "anonymous_id": CODES},
    Kind.WEB: {
        "anonymous_id": CODES,
        **dict.fromkeys(("category", "device", "channel", "utm_source", "utm_medium"), WORDS),
        **dict.fromkeys(("utm_campaign", "click_id", "order_id", "coupon"), CODES),
    },
    Kind.ENGAGEMENT: {"campaign": CODES, "channel": WORDS},
    Kind.CONSENT: {"source": WORDS, "legal_basis": WORDS},
}
"""Columns that land as they are given, whatever is in them, and what tells an address or number there.

The ad platforms number their campaigns: such a number is an id, like that of an order.
"""

_TEXT, _MOMENT = pl.String(), pl.Datetime("us")
_EVENT = {"event_at": _MOMENT, "event_date": pl.Date()}
KEPT = "kept_"
"""Begins the names that columns which the workspace keeps have on their way into ``extra``."""
LINE = "line"
"""Landed column: where the row is in its file (see ``TextTable.line_map``). It tells no row from another."""
_LINE = {LINE: pl.Int64()}

NOTHING_LANDED = "0-nothing.parquet"
"""A file without rows in each dataset, so that one that nothing has landed in can be read too."""

LANDED: Mapping[Kind, pl.Schema] = {
    Kind.TRANSACTIONS: pl.Schema(
        {
            "customer_id": _TEXT,
            "transaction_date": pl.Date(),
            "transaction_at": _MOMENT,
            "amount_minor": pl.Int64(),
            "product_category": _TEXT,
            "order_id": _TEXT,
            "quantity": pl.Decimal(18, 3),
            "currency": _TEXT,
            "channel": _TEXT,
            "discount_minor": pl.Int64(),
            "coupon": _TEXT,
            "loyalty_id": _TEXT,
            **_LINE,
        }
    ),
    Kind.CRM: pl.Schema(
        {
            "customer_id": _TEXT,
            "updated_at": _MOMENT,
            **dict.fromkeys(("country", "postal_code", "region"), _TEXT),
            "birth_year": pl.Int32(),
            "gender": _TEXT,
            "email_domain_kind": _TEXT,
            "is_competitor": pl.Boolean(),
            **dict.fromkeys(
                (
                    "meta_email",
                    "google_email",
                    "tiktok_email",
                    "meta_phone",
                    "google_phone",
                    "meta_first_name",
                    "meta_last_name",
                    "google_given_name",
                    "google_family_name",
                ),
                pl.Binary(),
            ),
            "identifier_rules": pl.Int32(),
            **dict.fromkeys(("loyalty_id", "device_id", "anonymous_id", "extra"), _TEXT),
            **_LINE,
        }
    ),
    Kind.WEB: pl.Schema(
        {
            **_EVENT,
            **{name: _TEXT for name in CONTRACTS[Kind.WEB].names if name != "event_at"},
            "gpc": pl.Boolean(),
            **_LINE,
        }
    ),
    Kind.ENGAGEMENT: pl.Schema(
        {
            **_EVENT,
            **dict.fromkeys(("customer_id", "event", "campaign", "channel"), _TEXT),
            "meta_email": pl.Binary(),
            **_LINE,
        }
    ),
    Kind.CONSENT: pl.Schema(
        {
            **_EVENT,
            "customer_id": _TEXT,
            "meta_email": pl.Binary(),
            "meta_phone": pl.Binary(),
            **dict.fromkeys(("purpose", "platform", "status", "source", "legal_basis", "signal"), _TEXT),
            **_LINE,
        }
    ),
}
"""The landed columns of each kind, without ``landing_id``, which every landed row carries besides.

``customer_id`` is a source id (``identifiers.source_ids``); only web events and consent may lack it.
``extra`` is a JSON object of text: the columns of the file that the workspace keeps.
"""


def day_column(kind: Kind) -> str:
    """The landed Date or Datetime column that dates a row."""
    return {"transaction_date": "transaction_date", "updated_at": "updated_at"}.get(
        CONTRACTS[kind].day, "event_date"
    )
