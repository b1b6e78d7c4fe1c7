"""Alembic migrations, run by :meth:`Ledger.open`."""

HEAD = "0003"
"""The newest version: a ledger that has it is opened without loading Alembic."""
