"""What must hold of the data, as Great Expectations suites: every threshold of the pipeline stands here."""

from collections.abc import Mapping, Sequence
from typing import Any

Expectation = tuple[str, Mapping[str, Any]]

TRANSACTION_DAYS: Sequence[Expectation] = (
    ("ExpectTableRowCountToBeBetween", {"min_value": 1}),
    ("ExpectColumnValuesToNotBeNull", {"column": "transaction_date"}),
    ("ExpectColumnValuesToBeUnique", {"column": "transaction_date"}),
    ("ExpectColumnValuesToBeBetween", {"column": "customers", "min_value": 1}),
)
"""One row per day of ``transactions``: transaction_date, customers, net_minor, times_median_sales. Blocks."""

ENOUGH_DAYS = 100
"""Days of transactions below which nothing is said of what is usual."""
USUAL_DAYS: Sequence[Expectation] = (
    # a day on which more was returned than sold happens; one day in five does not
    ("ExpectColumnValuesToBeBetween", {"column": "net_minor", "min_value": 0, "mostly": 0.8}),
    # few shops sell ten times their usual day on more than one day in twenty; wrong decimals do
    ("ExpectColumnValuesToBeBetween", {"column": "times_median_sales", "max_value": 10, "mostly": 0.95}),
)
"""The same table. Warns: a shop may be unusual."""

CUSTOMER_FEATURES: Sequence[Expectation] = (
    ("ExpectTableRowCountToBeBetween", {"min_value": 1}),
    ("ExpectColumnValuesToNotBeNull", {"column": "customer_id"}),
    ("ExpectColumnValuesToBeUnique", {"column": "customer_id"}),
    ("ExpectColumnValuesToBeBetween", {"column": "age_days", "min_value": 0}),
    ("ExpectColumnValuesToBeBetween", {"column": "orders", "min_value": 1}),
    ("ExpectColumnValuesToNotBeNull", {"column": "observed_minor"}),
)
"""One row per customer of ``customer_features``: customer_id, age_days, orders, observed_minor. Blocks."""

CONTACTS: Sequence[Expectation] = (("ExpectColumnValuesToNotBeNull", {"column": "customer_id"}),)
"""One row per landed contact: customer_id, has_identifier, country. Blocks."""

USUAL_CONTACTS: Sequence[Expectation] = (
    # fewer reachable people than this usually means a column that was mapped wrongly
    ("ExpectColumnValuesToBeInSet", {"column": "has_identifier", "value_set": [True], "mostly": 0.5}),
    ("ExpectColumnValuesToNotBeNull", {"column": "country", "mostly": 0.5}),
)
"""The same table. Warns."""

PREDICTIONS: Sequence[Expectation] = (
    ("ExpectColumnValuesToBeUnique", {"column": "customer_id"}),
    ("ExpectColumnValuesToBeBetween", {"column": "ltv_quintile", "min_value": 1, "max_value": 5}),
    ("ExpectColumnValuesToBeBetween", {"column": "within_30_probability", "min_value": 0, "max_value": 1}),
    (
        "ExpectColumnPairValuesAToBeGreaterThanB",
        {"column_A": "ltv_p90", "column_B": "ltv_p10", "or_equal": True},
    ),
)
"""One row per customer of ``ltv_predictions``. Blocks."""
