"""Alembic migrations of a registry in PostgreSQL."""
