"""The tables of a history, the same in SQLite and in PostgreSQL, made of the columns of a version."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text

from twin.registry.versions import RECORDED_FIELDS, VERSION_FIELDS

SCHEMA_VERSION = 1
"""Raised with every change of the tables."""

FOREVER = 2**63 - 1
"""`valid_to` of what is so until further notice; a number, not null, so that an index answers for spans."""

RECORDED = pa.schema(RECORDED_FIELDS)
VERSION = pa.schema(VERSION_FIELDS)

NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite's row number must be called INTEGER
CODE = Text().with_variant(Text(collation="C"), "postgresql")  # sorted by bytes everywhere: pages are stable

metadata = MetaData()

_IN_THE_KEY: dict[str, Any] = {"sqlite_with_rowid": False}
"""SQLite keeps such rows in the tree of their key, not beside it: half to write. A table made before stays as it is."""


def _sql_type(kind: pa.DataType) -> Any:
    if pa.types.is_floating(kind):
        return Double()
    if pa.types.is_boolean(kind):
        return Boolean()
    if pa.types.is_binary(kind):
        return LargeBinary()
    return BigInteger() if pa.types.is_timestamp(kind) else Text()  # microseconds since 1970 UTC; lists as JSON


def _version_columns() -> list[Column[Any]]:
    required = {"geid", "valid_from", "valid_to", "present"}
    return [
        Column(field.name, CODE if field.name == "geid" else _sql_type(field.type), nullable=field.name not in required)
        for field in VERSION_FIELDS
    ]


#: One row a transaction. It is written last, and counts what belongs to it: a lost row is noticed.
edition_table = Table(
    "history_edition",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False, unique=True),
    Column("valid_from", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("undoes", BigInteger, unique=True),
    Column("first_version", BigInteger, nullable=False),
    Column("versions", BigInteger, nullable=False),
    Column("steps", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
)

#: Assertions. Ids run without a gap in the order of recording, so an edition is a range of them.
version_table = Table(
    "history_version",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=False),
    Column("edition", BigInteger, nullable=False),
    *_version_columns(),
)
Index(
    "history_version_geid",
    version_table.c.geid,
    version_table.c.edition,
    version_table.c.valid_from,
    version_table.c.valid_to,
)

#: Steps from one entity to another.
lineage_table = Table(
    "history_lineage",
    metadata,
    Column("geid", CODE, primary_key=True),
    Column("relation", CODE, primary_key=True),
    Column("other", CODE, primary_key=True),
    Column("edition", NUMBER, primary_key=True, autoincrement=False),
    **_IN_THE_KEY,
)
Index("history_lineage_other", lineage_table.c.other)

#: Which record of a source stood for which entity in an edition.
bridge_table = Table(
    "history_bridge",
    metadata,
    Column("edition", NUMBER, primary_key=True, autoincrement=False),
    Column("row", NUMBER, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("source_key", Text),
    Column("geid", CODE, nullable=False),
    Column("change", Text, nullable=False),
    **_IN_THE_KEY,
)

TABLES = (edition_table, version_table, lineage_table, bridge_table)
BRIDGE = pa.schema([pa.field(name, pa.string()) for name in ("source", "source_key", "geid", "change")])
