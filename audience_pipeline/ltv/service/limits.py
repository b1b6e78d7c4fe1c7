"""How much one request, one batch and the queue may hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Chosen so that the most laborious request keeps no other one waiting for half a tenth of a second."""

    body_bytes: int = 250_000
    body_seconds: float = 10.0
    """From the head of a request to the end of its body."""
    customers: int = 100
    """In one request."""
    transactions_each: int = 2_000
    """Of one customer."""
    transactions: int = 2_000
    """In one request."""
    batch_requests: int = 64
    """Requests that are scored in one call."""
    batch_transactions: int = 2_000
    """No further request joins a batch with so many."""
    waiting_transactions: int = 20_000
    """In the queue; a request that finds it fuller is asked to come back."""
    gather_seconds: float = 0.001
    """How long a batch waits for as many requests as the one before had."""
