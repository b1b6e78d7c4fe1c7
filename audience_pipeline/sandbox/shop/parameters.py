"""Every effect of the synthetic shop as a number: zero switches it off."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Literal

FileFormat = Literal["csv", "csv.gz", "parquet"]

FUTURE_DAYS = 365
"""Days simulated beyond the last day, so that every forecast can be checked."""


@dataclass(frozen=True, slots=True)
class ShopParameters:
    """A shop. Shares and probabilities lie in 0 to 1; strengths start at 0, which switches them off."""

    customers: int = 20_000
    """People who order at least once up to ``last_day``. Customer i is the same in a larger shop."""
    months: int = 36
    """Months of history; the shop opens on the first of these days."""
    last_day: date = date(2026, 10, 31)
    """Last day of the files (inclusive); the truth reaches 365 days further."""
    seed: int = 7
    currency: str = "EUR"
    file_format: FileFormat = "csv"
    """How transactions, web and engagement events are written; Parquet holds the same text as the CSV."""

    # Acquisition
    growth: float = 0.2
    """Yearly growth of the number of new customers."""
    acquisition_peak: float = 0.8
    """How much more new customers come at the height of the Christmas season."""
    weekday: float = 0.2
    """How much the days of the week differ, in acquisition and in orders."""

    # Purchase rhythm
    orders_per_year: float = 3.2
    """Mean rate of orders of a customer who has not dropped out."""
    rate_spread: float = 0.9
    """Squared coefficient of variation of that rate between customers (gamma-distributed)."""
    drop_out: float = 0.35
    """Mean probability that an order was the last one (beta-distributed between customers)."""
    drop_out_spread: float = 0.35
    """How much customers differ in it: 0 all alike, towards 1 half of them never and half at once."""
    loyalty_share: float = 0.5
    """Share of rate and survival that one latent loyalty explains; 0 makes the two independent."""
    regularity: float = 0.8
    """Gaps are gamma-distributed with shape 1 + this times an exponential; 0 means Poisson."""
    order_peak: float = 0.9
    """How much more is ordered at the height of the Christmas season."""
    yearly_season: float = 0.1
    """Swing of orders over the year besides the peak."""
    personal_season: float = 0.6
    """Swing of customers who buy around one month of their own (birthdays, a hobby)."""
    personal_season_share: float = 0.3
    """Share of customers who have such a month."""
    peak_cohort_penalty: float = 0.35
    """Loyalty (in standard deviations) missing to people acquired at the height of the season."""

    # Money
    median_order: float = 46.0
    """Median order of a private customer, in major units."""
    order_value_between: float = 0.55
    """Log standard deviation of order values between customers."""
    order_value_within: float = 0.52
    """Log standard deviation between the orders of one customer."""
    rate_value_correlation: float = 0.1
    """Correlation between how often and how much a customer buys."""
    business_share: float = 0.003
    """Share of business buyers, whose orders are 10 to 100 times as large."""
    price_growth: float = 0.03
    """Yearly growth of prices."""
    lines_mean: float = 2.0
    """Mean number of lines beyond the first in an order."""
    discount_share: float = 0.2
    """Share of orders with a discount of 10 to 30 percent."""
    return_share: float = 0.07
    """Share of lines that come back some days later."""
    return_spread: float = 0.7
    """Log standard deviation of that share between customers."""
    taste: float = 1.0
    """How much customers differ in the categories they like, value aside."""

    # What can be seen of value before it shows in money
    signal_strength: float = 1.0
    """Multiplies all effects of this group at once: 0 leaves money and dates alone to learn from."""
    category_signal: float = 0.5
    """How far categories tell loyal and high-spending customers from others."""
    channel_signal: float = 0.45
    """How far the channel of acquisition tells loyal customers from others."""
    device_signal: float = 0.3
    """How far the device tells loyal and high-spending customers from others."""
    hour_signal: float = 0.3
    """How far the hour of orders tells loyal customers and businesses from others."""
    discount_signal: float = 0.4
    """How much more disloyal customers use discounts."""
    basket_signal: float = 0.25
    """How much more lines loyal customers order."""
    web_signal: float = 0.5
    """How much more loyal and high-spending customers look around."""
    engagement_signal: float = 0.5
    """How much more loyal customers open, click and stay subscribed."""
    lapse: float = 0.9
    """How far visits and opens fade between the last order and drop-out."""
    research_visits: float = 0.5
    """Mean number of visits in the fortnight before an order."""

    # Behaviour
    visits_per_year: float = 4.0
    """Mean number of visits in a year of a customer still interested, orders aside."""
    tracked_orders: float = 0.4
    """Share of orders whose visit was recorded."""
    strangers_visits: float = 0.08
    """Visits of people who never order, per visit of a customer."""
    newsletter_share: float = 0.62
    """Share of customers who get the newsletter."""
    sms_share: float = 0.15
    """Share of customers who get text messages."""

    # Records that belong together
    readers: float = 0.08
    """Readers of the newsletter who never order, per customer; known by e-mail address alone."""
    readers_before: float = 0.08
    """Share of customers who read the newsletter before their first order."""
    loyalty_cards: float = 0.3
    """Share of customers with a loyalty card."""
    coupons: float = 0.5
    """Share of discounted orders in which the discount is that of a coupon."""
    form_browsers: float = 0.2
    """Share of customers whose CRM row says in which browser the form was filled in."""
    browser_signals: float = 0.2
    """Share of people in the US whose browser sends Global Privacy Control."""
    second_accounts: float = 0.01
    """Share of customers who open a second account, with the same address, and never use it."""

    # People
    in_crm: float = 0.98
    """Share of customers with a CRM row."""
    messiness: float = 0.4
    """Share of e-mail addresses and phone numbers typed in another than the plain form."""
    invalid: float = 0.012
    """Share of e-mail addresses and phone numbers typed wrong beyond repair."""
    placeholders: float = 0.006
    """Share of e-mail addresses and phone numbers such as test@test.com."""
    missing_email: float = 0.05
    missing_phone: float = 0.35
    crm_updates: float = 0.12
    """Share of customers with a second, newer CRM row."""
    households: float = 0.12
    """Share of customers who live with another one and share the address, often more."""
    competitors: float = 0.002
    """Share of customers with the e-mail domain of a competitor."""

    # Consent
    grant: float = 0.75
    """Share of people in the EEA, the UK and Switzerland who grant advertising at sign-up."""
    deny: float = 0.12
    """Share of them who deny it; the others say nothing."""
    opt_out_elsewhere: float = 0.1
    """Share of people elsewhere who opt out; most of the others say nothing."""
    withdraw: float = 0.06
    """Share of grants that are withdrawn later."""

    # Platforms
    on_meta: float = 0.7
    """Share of people whom Meta knows."""
    on_google: float = 0.75
    """Share of people whom Google knows."""
    on_tiktok: float = 0.45
    """Share of people whom TikTok knows."""
    strangers: float = 0.5
    """People in the population who are no customers, per customer."""

    # Dirt
    without_customer: float = 0.002
    """Additional lines without a customer, per line."""
    bad_dates: float = 0.0002
    """Additional lines dated 31 February, per line."""
    bad_amounts: float = 0.0002
    """Additional lines with an unreadable amount, per line."""
    unseen_returns: float = 0.002
    """Share of customers with a return before their first order (of an order before the shop's files)."""
    repeat_a_day: bool = True
    """Whether all lines of one day are in the file twice."""

    def __post_init__(self) -> None:
        """Refuse a shop that cannot be.

        Raises:
            ValueError: a parameter is out of range; the message names it and the range.
        """
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"ShopParameters.{name} is {value}; it must lie between {low} and {high}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not value >= 0:
                raise ValueError(
                    f"ShopParameters.{field.name} is {value}; 0 switches it off, nothing below is possible."
                )
        if self.grant + self.deny > 1:
            raise ValueError("ShopParameters.grant and deny add up to more than 1: lower one of them.")

    @property
    def first_day(self) -> date:
        """The day on which the shop opens."""
        after = self.last_day + timedelta(days=1)
        months = after.year * 12 + after.month - 1 - self.months
        return date(months // 12, months % 12 + 1, min(after.day, 28))

    @property
    def days(self) -> int:
        """Days of history."""
        return (self.last_day - self.first_day).days + 1

    @property
    def repeated_day(self) -> date | None:
        """The day that is in the transactions twice."""
        return self.last_day - timedelta(days=self.days // 5) if self.repeat_a_day else None

    def signal(self, strength: float) -> float:
        """The strength of a signal as it applies: switched off with ``signal_strength``."""
        return self.signal_strength * strength


_SHARES = (
    "drop_out_spread", "loyalty_share", "personal_season_share", "rate_value_correlation",
    "business_share", "discount_share", "return_share", "lapse", "tracked_orders", "newsletter_share",
    "sms_share", "in_crm", "messiness", "invalid", "placeholders", "missing_email", "missing_phone",
    "crm_updates", "households", "competitors", "grant", "deny", "opt_out_elsewhere", "withdraw",
    "on_meta", "on_google", "on_tiktok", "without_customer", "bad_dates", "bad_amounts",
    "unseen_returns", "readers_before", "loyalty_cards", "coupons", "form_browsers", "browser_signals",
    "second_accounts", "weekday", "yearly_season", "personal_season",
)  # fmt: skip
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("customers", 1, 9_999_999),
    ("months", 3, 120),
    ("orders_per_year", 0.01, 100),
    ("drop_out", 0, 0.95),
    ("drop_out_spread", 0, 0.95),
    ("growth", 0, 10),
    ("median_order", 0.1, 1e6),
    ("lines_mean", 0, 20),
    *((share, 0, 1) for share in _SHARES),
)
