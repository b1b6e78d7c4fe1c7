"""Between a batch as the ledger knows it and the receipt of a platform. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from audience_pipeline.ledger.records import Batch, BatchState
from audience_pipeline.platforms.contract import Receipt, ReceiptState

_STATES = {
    ReceiptState.PROCESSING: BatchState.SENT,
    ReceiptState.SETTLED: BatchState.SETTLED,
    ReceiptState.FAILED: BatchState.FAILED,
}


def answered(batch: Batch, receipt: Receipt, now: datetime) -> Batch:
    """The batch with what the platform said of it."""
    return replace(
        batch,
        state=_STATES[receipt.state],
        accepted=receipt.accepted,
        rejected=receipt.rejected,
        matched=receipt.matched,
        match_rate=receipt.match_rate,
        request_id=receipt.request_id,
        remote_id=receipt.remote_id,
        reasons=dict(receipt.reasons),
        message=receipt.message,
        sent_at=batch.sent_at or now,
        settled_at=None if receipt.state is ReceiptState.PROCESSING else now,
    )


def open_receipt(batch: Batch) -> Receipt:
    """The receipt of a batch that is being processed, to be settled."""
    return Receipt(
        request_id=batch.request_id,
        state=ReceiptState.PROCESSING,
        received=batch.rows,
        accepted=batch.accepted,
        rejected=batch.rejected,
        matched=batch.matched,
        match_rate=batch.match_rate,
        reasons=batch.reasons,
        message=batch.message,
        remote_id=batch.remote_id,
    )
