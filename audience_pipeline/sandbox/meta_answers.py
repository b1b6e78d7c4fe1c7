"""What Meta puts around every answer: version, usage headers, the envelope of an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from math import ceil
from typing import Any

from audience_pipeline.sandbox.meta_calls import GraphError
from audience_pipeline.sandbox.quotas import Usage
from audience_pipeline.sandbox.wire import Answer, json_answer

VERSION = "v26.0"
SERVED = frozenset({"v25.0", VERSION})
_traces = count(1)


def usage_headers(account: str, app: Usage, score: Usage, calls: Usage) -> dict[str, str]:
    """The three headers that every answer carries."""
    percent = ceil(app.share * 100)
    return {
        "x-app-usage": json.dumps({"call_count": percent, "total_cputime": percent, "total_time": percent}),
        "x-ad-account-usage": json.dumps(
            {
                "acc_id_util_pct": round(score.share * 100, 2),
                "reset_time_duration": 300,
                "ads_api_access_tier": "standard_access",
            }
        ),
        **business_usage(account, ceil(calls.share * 100), 0),
    }


def idle_headers(account: str) -> dict[str, str]:
    """The same when nothing is used."""
    return usage_headers(account, Usage(0, 0), Usage(0, 0), Usage(0, 0))


def business_usage(account: str, percent: int, minutes: int, kind: str = "custom_audience") -> dict[str, str]:
    """The header of a business use case; ``minutes`` until calls are taken again."""
    usage = {
        "type": kind,
        "call_count": percent,
        "total_cputime": percent,
        "total_time": percent,
        "estimated_time_to_regain_access": minutes,
        "ads_api_access_tier": "standard_access",
    }
    return {"x-business-use-case-usage": json.dumps({account: [usage]})}


def envelope(error: GraphError, headers: Mapping[str, str]) -> Answer:
    """An error as an answer."""
    content: dict[str, Any] = {"message": error.text, "type": "OAuthException", "code": error.code}
    if error.subcode is not None:
        content["error_subcode"] = error.subcode
    if error.transient:
        content["is_transient"] = True
    if error.fields:
        content["error_data"] = {"blame_field_specs": [[name] for name in error.fields]}
    content["fbtrace_id"] = f"Asandbox{next(_traces):08d}"
    return json_answer({"error": content}, error.status, {**headers, **error.headers})
