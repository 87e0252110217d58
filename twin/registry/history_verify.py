"""Proves that a history is whole, or says in sentences what is broken."""

from __future__ import annotations

from sqlalchemy import Connection

from twin.registry.history_dialect import Dialect


def verify(connection: Connection, dialect: Dialect) -> list[str]:
    """Every check; empty where the history is whole."""
    return dialect.damage(connection)
