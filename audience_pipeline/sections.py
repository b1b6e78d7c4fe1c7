"""The sections of a workspace's ``audience.yaml``: what may be said, and what holds where nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from audience_pipeline.sources import kept


class Section(BaseModel):
    """Frozen; a key that it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Shop(Section):
    """Facts about the shop that no file says."""

    name: str = "shop"
    """Begins the name of every audience on the platforms."""
    time_zone: str = "UTC"
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """ISO code of the one currency of the workspace; without it, the currency of the first file."""
    rates: Path | None = None
    """CSV ``date,currency,rate`` (one unit in the workspace's currency), for files in other currencies."""
    default_region: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    """ISO country for phone numbers without a country code; without it they are not sent."""
    competitor_domains: tuple[str, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("unknown time zone: use a name such as Europe/Berlin") from error
        return value


class Calendar(Section):
    """The as-of dates that exist. ``last_day`` is for data that has ended; without it, yesterday."""

    first_day: date = date(2024, 1, 1)
    last_day: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Calendar:
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError("last_day lies before first_day")
        return self


class Reading(Section):
    """How the files of one kind are written, where it cannot be seen from the file."""

    columns: Mapping[str, str] = Field(default_factory=dict)
    """Our column name to the file's."""
    date_format: str | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    encoding: str | None = None
    delimiter: str | None = None
    keep: tuple[str, ...] = ()
    """Columns of the contacts, by the file's names, that audiences may use (as ``crm_<name>``)."""
    hashed: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Columns that hold SHA-256 in hex already, and for which platforms; without it hashes are refused."""

    @model_validator(mode="after")
    def _can_be_meant(self) -> Reading:
        kept.refuse(self.keep)
        kept.refuse_hashes(self.hashed)
        return self


class Inbox(Section):
    """What happens to files that have been landed from the inbox."""

    keep_days: Annotated[int, Field(ge=0, le=3650)] = 30
    """Days that a landed file stays in the sealed archive; 0 deletes it at once."""


Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]


class Consent(Section):
    """What silence and browser signals mean, by country."""

    needed_in: tuple[Country, ...] | None = None
    """ISO codes of countries where silence means no; without it the EEA, the United Kingdom, Switzerland."""
    unknown_country_needs_consent: bool = True
    signals_count_in: tuple[Country, ...] = ("US",)
    """ISO codes of countries where the Global Privacy Control of a browser is an opt-out."""
    unknown_country_signals_count: bool = True
    advertising_covers_personalisation: bool = False
    """Whether the shop's question about advertising asked for personalised ads in the same breath: then who
    agreed to it may go to platforms that want both, such as Google."""

    @field_validator("needed_in", "signals_count_in", mode="before")
    @classmethod
    def _norway(cls, value: Any) -> Any:
        if isinstance(value, list) and False in value:
            raise ValueError("YAML reads NO as false: write the code of Norway in quotes, 'NO'")
        return value


class Identities(Section):
    """When an identifier is taken for that of more than one person: the most customers (source ids) that may
    share one; what more share joins nobody.
    """

    email: Annotated[int, Field(ge=1)] = 5
    loyalty: Annotated[int, Field(ge=1)] = 3
    phone: Annotated[int, Field(ge=1)] = 3
    device: Annotated[int, Field(ge=1)] = 3
    anonymous: Annotated[int, Field(ge=1)] = 3
    """Of one browser."""
    click: Annotated[int, Field(ge=1)] = 1
    """Of one click on an ad: links of ads are passed on to friends."""
    browsers_of_a_click: Annotated[int, Field(ge=1)] = 2
    component: Annotated[int, Field(ge=1)] = 20
    """Source ids of one customer, browsers not counted."""
    browsers: Annotated[int, Field(ge=1)] = 200
    """Browsers of one customer."""
    brake_percent: Annotated[float, Field(ge=0, le=100)] = 5
    """A check warns where more of the customers of the date before have become one with another."""


class CouponCode(Section):
    """What a coupon code stands for."""

    campaign: str
    platform: Literal["meta", "google", "tiktok"] | None = None
    channel: str | None = None


class Attribution(Section):
    """What brings orders."""

    coupons: Mapping[str, CouponCode] = Field(default_factory=dict)
    """By code; capital and small letters are the same."""
    lookback_days: Annotated[int, Field(ge=0, le=365)] = 30
    """Days before an order in which a visit can have brought it."""

    @field_validator("coupons")
    @classmethod
    def _each_once(cls, value: Mapping[str, CouponCode]) -> Mapping[str, CouponCode]:
        if twice := [code for code in value if sum(code.upper() == other.upper() for other in value) > 1]:
            raise ValueError(f"{twice[0]} stands there twice: capital and small letters are the same")
        return value


class Ltv(Section):
    """When a newly trained value model takes over."""

    champion_days: Annotated[int, Field(ge=1)] | None = 183
    """A champion that has seen no data for so many days is replaced by a model that is not worse beyond
    noise; before that, and always with null, only by one that is better beyond noise, unless customers have
    moved away from those of its training (drift)."""


class Audiences(Section):
    """How audiences are made."""

    holdout_salt: Annotated[str, Field(min_length=1)] = "audience-pipeline"
    """What makes the holdouts of this workspace its own; changing it draws all of them anew."""


class Delivery(Section):
    """How carefully platforms are told. Changed values count from the next delivery on."""

    brake_percent: Annotated[float, Field(gt=0, le=100)] = 30
    brake_people: Annotated[int, Field(ge=0)] = 1_000
    """A change that removes or adds more than this share of an audience, and more than this number of people,
    waits until somebody has confirmed it."""
    patience_seconds: Annotated[float, Field(ge=0, le=3600)] = 120
    """How long a delivery waits for a platform to process what it accepted; the next one looks again."""
    refresh_after: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of a membership's life on the platform after which somebody is sent again."""


def _bare(account: str) -> str:
    """An account as a platform counts it: Meta's prefix and Google's dashes are ways of writing."""
    return account.strip().removeprefix("act_").replace("-", "")


class Account(Section):
    """Where a platform is reached and which ad accounts are ours. Tokens never stand here."""

    account: str = ""
    accounts: tuple[str, ...] = ()
    """Several accounts instead of one: an audience goes to the first that has room, and stays there."""
    base_url: str = ""
    ads_base_url: str = ""
    """Google: where the Google Ads API is reached, besides the Data Manager API."""
    login_account: str = ""
    """Google: the manager account through which access runs."""
    requests_per_second: Annotated[float, Field(gt=0, le=1_000)] | None = None
    """TikTok: what the level of the app allows, which is not published; without it, what every level does."""

    @property
    def ids(self) -> tuple[str, ...]:
        """All our ad accounts, in the order in which audiences fill them."""
        return self.accounts or ((self.account,) if self.account else ())

    @model_validator(mode="after")
    def _each_once(self) -> Account:
        if self.account and self.accounts:
            raise ValueError("account and accounts are both given: write all of them as accounts")
        bare = [_bare(one) for one in self.accounts]
        if "" in bare:
            raise ValueError("one of the accounts is empty")
        if twice := [one for one, short in zip(self.accounts, bare, strict=True) if bare.count(short) > 1]:
            raise ValueError(f"the account {twice[0]} stands there twice")
        return self


class Platforms(Section):
    """The three platforms."""

    sandbox_only: bool = False
    """A demo's workspace: its people are invented, and nothing of it may reach a real platform."""
    meta: Account = Account()
    google: Account = Account()
    tiktok: Account = Account()


class Config(Section):
    """The contents of ``audience.yaml``."""

    shop: Shop = Shop()
    calendar: Calendar = Calendar()
    sources: Mapping[Literal["transactions", "crm", "web", "engagement", "consent"], Reading] = Field(
        default_factory=dict
    )
    inbox: Inbox = Inbox()
    consent: Consent = Consent()
    identities: Identities = Identities()
    attribution: Attribution = Attribution()
    ltv: Ltv = Ltv()
    audiences: Audiences = Audiences()
    delivery: Delivery = Delivery()
    platforms: Platforms = Platforms()

    @field_validator("sources")
    @classmethod
    def _contacts_alone_keep(cls, value: Mapping[str, Reading]) -> Mapping[str, Reading]:
        if keeping := [kind for kind, reading in value.items() if reading.keep and kind != "crm"]:
            raise ValueError(f"{keeping[0]} keeps no columns besides its own: keep is for crm alone")
        return value
