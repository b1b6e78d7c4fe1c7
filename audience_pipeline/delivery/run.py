"""Makes one audience on one platform hold exactly the wanted people."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from datetime import UTC, date, datetime
from uuid import uuid4

from audience_pipeline.delivery.courier import Courier
from audience_pipeline.delivery.recipients import Wanted, remote_name
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.delivery.steps import Run
from audience_pipeline.ledger import Ledger
from audience_pipeline.ledger.records import AudienceKey, Delivery
from audience_pipeline.platforms.contract import AudienceClient

PATIENCE = 120.0
"""Seconds that a run waits for platforms to process what they accepted."""


def _now() -> datetime:
    return datetime.now(UTC)


def sync(
    ledger: Ledger,
    client: AudienceClient,
    audience: str,
    wanted: Wanted,
    *,
    as_of: date,
    consent_lost: Set[str] = frozenset(),
    confirm: bool = False,
    retired: bool = False,
    dry_run: bool = False,
    prefix: str = "",
    description: str = "",
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = _now,
) -> DeliveryReport:
    """Make the platform hold exactly ``wanted``.

    Errors of the platform are part of the report, so that one audience never stops the others.

    Args:
        ledger: the memory of everything that was sent.
        client: one ad account of one platform.
        audience: the name of the audience; on the platform it gets ``prefix`` and its limit of length.
        wanted: exactly the people to hold, as :func:`members_for` makes them.
        as_of: the day of ``wanted``.
        consent_lost: customers who may not be there: never sent, and their removal is never held up.
        confirm: go on where the brake would hold.
        retired: no definition asks for the audience any more, so nobody is wanted. As long as somebody is
            there, it is held until confirmed; people without consent leave in any case.
        dry_run: only look and plan; neither the platform nor the ledger is changed.
        prefix: put before the name of the audience on the platform.
        description: shown on the platform.
        patience: seconds to wait for the platform to process batches; the next run picks up the rest.
        sleep: waits so many seconds.
        clock: tells the time, with its zone.

    Raises:
        ValueError: somebody is wanted in a retired audience.
        LedgerError: another run has been delivering to this account for too long.
    """
    if retired and wanted:
        raise ValueError(
            f"The audience {audience!r} is retired, but {len(wanted):,} people are wanted in it."
        )
    key = AudienceKey(client.capabilities.platform, client.account, audience)
    wanted = {customer: one for customer, one in wanted.items() if customer not in consent_lost}
    delivery = Delivery(uuid4().hex, key, as_of, clock(), wanted=len(wanted))
    courier = Courier(ledger, client, key, delivery.delivery_id, clock, sleep, patience)
    run = Run(
        courier,
        delivery,
        wanted,
        consent_lost,
        confirm,
        remote_name(prefix, audience, client.capabilities.name_length),
        description,
        retired,
    )
    if dry_run:
        return run.preview()
    with ledger.exclusive(f"deliveries to {key.platform.value} {key.account}"):
        return run.deliver()
