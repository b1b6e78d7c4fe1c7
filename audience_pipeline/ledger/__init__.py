"""The database of what must not be lost or done twice."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audience_pipeline.ledger.database import Ledger, LedgerError

__all__ = ["Ledger", "LedgerError"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Loading SQLAlchemy takes longer than some commands may that hardly need the ledger.
    from audience_pipeline.ledger import database

    return getattr(database, name)
