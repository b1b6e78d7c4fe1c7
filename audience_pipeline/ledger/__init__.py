"""The database of what must not be lost or done twice."""

from audience_pipeline.ledger.database import Ledger, LedgerError

__all__ = ["Ledger", "LedgerError"]
