"""Reconciles the ledger with what platforms show: what the checks after a delivery and the command do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import polars as pl

from audience_pipeline.audiences import eligibility
from audience_pipeline.defs.lake import newest_landing
from audience_pipeline.defs.recipients import stated
from audience_pipeline.defs.removals import DONE, note_verified
from audience_pipeline.defs.resources import NotConfiguredError, PlatformResource
from audience_pipeline.defs.storage import table_path
from audience_pipeline.delivery.gaps import Gap, Reference
from audience_pipeline.delivery.verify import NOTHING, Verification, not_configured, verify
from audience_pipeline.ledger import refreshes, removals, verifications
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.verifications import VerificationRecord
from audience_pipeline.platforms.contract import CAPABILITIES, AudienceClient, Platform
from audience_pipeline.settings import Settings

OWED_TOO_LONG = timedelta(hours=24)
"""After that a removal that was asked for and is not confirmed is a gap."""
SPEAKS_AGAINST_REMOVAL = frozenset(
    {"unreachable", "unconfigured", "no_consent", "larger", "late", "unconfirmed", "unanswered", "twin"}
)
"""Kinds of gaps in view of which nobody can say that a removal took effect."""


def verify_platform(settings: Settings, ledger: Ledger, resource: PlatformResource) -> list[Verification]:
    """Compare every account of a platform with the ledger, and write down what was found.

    Whatever cannot be asked is a gap. Removals that were confirmed count as verified where an account was
    read and shows no gap that speaks against it.
    """
    platform, now = Platform(resource.platform), datetime.now(UTC)
    store = MemberStore(ledger, settings.delivered)
    lost = consent_lost(settings, ledger, platform)
    with ledger.reading() as connection:
        before = {
            one.account: {name: Reference.from_json(value) for name, value in one.seen.items()}
            for one in verifications.newest(connection, platform)
        }
    try:
        clients: Sequence[AudienceClient] = resource.clients()
    except NotConfiguredError:
        # Audiences that were delivered there are told of below; nothing is wrong where there are none.
        clients = []
    found = [
        verify(store, client, seen_before=before.get(client.account, NOTHING), consent_lost=lost)
        for client in clients
    ]
    found += not_configured(store, platform, [client.account for client in clients], now)
    found = [_with_owed(ledger, one) for one in found]
    for one in found:
        record(ledger, one)
        speaking = [gap.sentence for gap in one.gaps if gap.kind in SPEAKS_AGAINST_REMOVAL]
        note_verified(ledger, platform, one.account, one.checked_at, speaking)
    return found


def record(ledger: Ledger, one: Verification) -> None:
    """Write a verification into the ledger."""
    with ledger.begin() as connection:
        verifications.put(
            connection,
            VerificationRecord(
                verification_id=uuid4().hex,
                platform=Platform(one.platform),
                account=one.account,
                checked_at=one.checked_at,
                audiences=one.audiences,
                gaps=[asdict(gap) for gap in one.gaps],
                seen={name: reference.as_json() for name, reference in one.seen.items()},
            ),
        )


def consent_lost(settings: Settings, ledger: Ledger, platform: Platform) -> pl.Series | None:
    """Ids of everybody who may not be on a platform, with all that has landed by now; None before the first
    refresh.
    """
    complete = [
        refresh.as_of
        for refresh in refreshes.completed(ledger)
        if table_path(settings.lake, "customer_profile", refresh.as_of.isoformat()).is_file()
    ]
    if not complete:
        return None
    known = stated(settings, ledger, complete[-1], newest_landing(ledger))
    identifiers = pl.read_parquet(table_path(settings.lake, "identifiers", complete[-1].isoformat()))
    standing = eligibility.standing(identifiers, known.consent, CAPABILITIES[platform], known.addresses)
    return known.any_id_of(eligibility.without_consent(standing))


def _with_owed(ledger: Ledger, one: Verification) -> Verification:
    """The verification, with the removals that have been owed to the account for too long."""
    with ledger.reading() as connection:
        asked = removals.removals(connection)
    late = [
        removal
        for removal in asked
        if removal.platform.value == one.platform
        and removal.account == one.account
        and removal.state not in DONE
        and removal.people
        and one.checked_at - removal.requested_at > OWED_TOO_LONG
    ]
    if not late:
        return one
    oldest = min(removal.requested_at for removal in late)
    sentence = (
        f"{len(late):,} requests to remove people, the oldest of {oldest.date()}, are not confirmed: run "
        "audience-pipeline audiences sync, and look at audience-pipeline privacy receipts."
    )
    return replace(one, gaps=(*one.gaps, Gap("", "owed", sentence)))
