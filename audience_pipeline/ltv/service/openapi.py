"""The request and the answer as JSON schemas, from the contract of files and the schema of predictions."""

from __future__ import annotations

from typing import Any

import polars as pl

from audience_pipeline.ltv.scoring import PREDICTIONS_SCHEMA
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline.ltv.service.requests import FIELDS
from audience_pipeline.sources.contract import CONTRACTS, Kind

_CONTRACT = CONTRACTS[Kind.TRANSACTIONS]
_LIMITS = Limits()
_TYPES: dict[Any, list[str]] = {pl.Int64(): ["integer", "null"], pl.Float64(): ["number", "null"]}


def _object(properties: dict[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **more,
    }


def _field(name: str) -> dict[str, Any]:
    column = _CONTRACT.column(name)
    types = ["string", "number" if column.type in {"amount", "number"} else "integer"]
    return {"type": types, "description": column.description, "examples": [column.example]}


_TRANSACTION = _object({name: _field(name) for name in FIELDS}, ["transaction_date", "transaction_amount"])
_CUSTOMER = {
    "customer_id": _field("customer_id"),
    "transactions": {"type": "array", "maxItems": _LIMITS.transactions_each, "items": _TRANSACTION},
}
_MORE = {
    "as_of": {"type": "string", "format": "date", "description": "Nothing dated later is read; today in UTC"},
    "observe_days": {
        "type": "integer",
        "minimum": 0,
        "description": "Instead of as_of: days after each customer's first order",
    },
    "reasons": {"type": "boolean", "description": "Say in words why, too; without it, nothing is said"},
}
_MANY = {
    "type": "array",
    "minItems": 1,
    "maxItems": _LIMITS.customers,
    "items": _object(_CUSTOMER, list(_CUSTOMER)),
}
_PROBLEM = _object(
    {name: {"type": "string"} for name in ("field", "reason", "remedy")}, ["field", "reason", "remedy"]
)
_PREDICTION = {
    "type": "object",
    "properties": {
        **{
            name: {"type": _TYPES.get(dtype, ["string", "null"])}
            for name, dtype in PREDICTIONS_SCHEMA.items()
        },
        "reasons": {"type": "array", "items": {"type": "string"}},
        "error": _PROBLEM,
    },
    "required": ["customer_id"],
}


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_ERRORS = _object({"errors": {"type": "array", "items": _PROBLEM}}, ["errors"])
_ANSWER = _object(
    {"model_version": {"type": "string"}, "predictions": {"type": "array", "items": _PREDICTION}},
    ["model_version", "predictions"],
)

SCORE: dict[str, Any] = {
    "responses": {
        200: _content("An entry for each customer, in the order of the request", _ANSWER),
        **{
            status: _content(why, _ERRORS)
            for status, why in {
                400: "Not JSON",
                408: "The body has not come in time",
                413: "The body is too large",
                415: "The body is compressed",
                422: "A field cannot be meant, or there is too much of something",
                503: "No model yet, or too many requests wait: see Retry-After",
            }.items()
        },
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "oneOf": [
                            _object({"customers": _MANY, **_MORE}, ["customers"]),
                            _object({**_CUSTOMER, **_MORE}, list(_CUSTOMER)),
                        ]
                    }
                }
            },
        }
    },
}
"""What ``POST /score`` says of itself, as arguments of a FastAPI route."""
