"""How each platform says that it is overloaded, out of order, or that a token has expired."""

from __future__ import annotations

import re

from audience_pipeline.sandbox import google, google_ads, tiktok
from audience_pipeline.sandbox.faults import Fault, Trouble
from audience_pipeline.sandbox.google_errors import GoogleError, envelope, request_id
from audience_pipeline.sandbox.google_gaql import AdsError
from audience_pipeline.sandbox.meta_answers import VERSION, business_usage, idle_headers, usage_headers
from audience_pipeline.sandbox.meta_answers import envelope as graph_envelope
from audience_pipeline.sandbox.meta_calls import GraphError
from audience_pipeline.sandbox.quotas import Usage
from audience_pipeline.sandbox.wire import Answer, Call, json_answer
from audience_pipeline.sandbox.world import World

FORMS = 12
"""Forms of a trouble repeat after so many."""
BAD_GATEWAY = Answer(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", media_type="text/html")
_META_THROTTLES = ((80003, 2446079), (17, 2446079), (4, None), (613, 5044001), (613, 1487742), (80004, None))
_GOOGLE_OUTAGES = (
    (500, "INTERNAL", "INTERNAL_ERROR"),
    (503, "UNAVAILABLE", "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    (409, "ABORTED", "ABORTED"),
)
_TIKTOK_THROTTLES = (40100, 40016, 40132, 40133)
_TIKTOK_OUTAGES = (50000, 50002, 51065)


def answer(world: World, platform: str, call: Call, trouble: Trouble) -> Answer:
    """The answer to a call that came to a throttle, an outage or with a token that has expired."""
    form = trouble.form % FORMS
    outage = trouble.fault in {Fault.UNAVAILABLE, Fault.ERROR_AFTER}
    if outage and form % 4 == 3:
        return BAD_GATEWAY
    if platform == "meta":
        return _meta(world, call, trouble.fault, form)
    if platform == "tiktok":
        return _tiktok(world, trouble.fault, form)
    if "/customers/" in call.path:
        return _google_ads(trouble.fault, form)
    return _google(call, trouble.fault, form)


def _meta(world: World, call: Call, fault: Fault, form: int) -> Answer:
    account = next(iter(re.findall(r"/act_(\d+)", call.path)), "0")
    headers = {"facebook-api-version": VERSION, **idle_headers(account)}
    if fault is Fault.EXPIRED_TOKEN:
        text = "Error validating access token: Session has expired."
        return graph_envelope(GraphError(190, text, subcode=463, status=401), headers)
    if fault is Fault.THROTTLED:
        code, subcode = _META_THROTTLES[form % len(_META_THROTTLES)]
        full, idle = Usage(1, 1), Usage(0, 0)
        headers |= usage_headers(account, full if code == 4 else idle, full if code == 17 else idle, idle)
        if code >= 80_000:
            kind = "custom_audience" if code == 80003 else "ads_management"
            headers |= business_usage(account, 100, world.faults.options.throttle_minutes, kind)
        text = "There have been too many calls from this ad-account. Wait a bit and try again."
        return graph_envelope(GraphError(code, text, subcode=subcode), headers)
    if form % 2:
        error = GraphError(2, "Service temporarily unavailable.", status=503, transient=True)
    else:
        error = GraphError(1, "An unknown error occurred.", status=500)
    return graph_envelope(error, headers)


def _google(call: Call, fault: Fault, form: int) -> Answer:
    if fault is Fault.EXPIRED_TOKEN:
        text = "Request had invalid authentication credentials."
        error = GoogleError(401, text, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED")
    elif fault is Fault.THROTTLED:
        error = google.over_quota(google.quota_of(call.method, call.path), "minute")
    else:
        http, status, reason = _GOOGLE_OUTAGES[form % len(_GOOGLE_OUTAGES)]
        error = GoogleError(http, "The service could not answer. Try again.", status, reason)
    return json_answer(envelope(error), error.http)


def _google_ads(fault: Fault, form: int) -> Answer:
    if fault is Fault.EXPIRED_TOKEN:
        error = AdsError("authenticationError", "OAUTH_TOKEN_EXPIRED", "The OAuth token has expired.")
    elif fault is Fault.THROTTLED:
        error = google_ads.over_quota("0.1s")
    else:
        name = ("TRANSIENT_ERROR", "INTERNAL_ERROR", "DEADLINE_EXCEEDED")[form % 3]
        error = AdsError("internalError", name, "An internal error has occurred.")
    return google_ads.refusal(error, "v26", request_id())


def _tiktok(world: World, fault: Fault, form: int) -> Answer:
    if fault is Fault.EXPIRED_TOKEN:
        return tiktok.envelope(world, 40105, "Access token is incorrect or has been revoked", {})
    if fault is Fault.UNAVAILABLE or fault is Fault.ERROR_AFTER:
        code = _TIKTOK_OUTAGES[form % len(_TIKTOK_OUTAGES)]
        return tiktok.envelope(world, code, "System error. Please try again later.", {})
    if form % 5 == 4:
        return Answer(429, b"Too Many Requests", media_type="text/plain")
    text = "Too many requests: the QPS limit is reached. Please retry later."
    return tiktok.envelope(world, _TIKTOK_THROTTLES[form % len(_TIKTOK_THROTTLES)], text, {})
