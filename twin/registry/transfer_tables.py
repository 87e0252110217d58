"""The tables a registry is made of, as Arrow columns: what is copied between databases and into the open form."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()
FOREVER = 2**63 - 1
"""`valid_to` in the databases of what is so until further notice; null in the open form."""

_REAL_NAMES = "lon lat height west south east north base_m roof_m height_m storeys height_confidence x y area"
_WHOLE_NAMES = (
    "number first_release last_release release recorded_at valid_from valid_to undoes first_version versions steps"
    " records id edition row"
)
_VERSION = (
    "id edition geid layer entity_class source source_key name address aliases parent lon lat height west south east"
    " north base_m roof_m height_m storeys height_source height_confidence ground_source grade attributes provenance"
    " geometry valid_from valid_to present"
)


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table of a registry.

    Attributes:
        name: In the databases.
        file: In the open form.
        columns: Arrow fields, as the databases hold them.
        order: Columns that sort it, one order in every backend.
        moments: Columns of microseconds since 1970 UTC, which the open form writes as times.
        spatial: True if `geometry` holds WKB: GeoParquet.
    """

    name: str
    file: str
    columns: pa.Schema
    order: tuple[str, ...]
    moments: tuple[str, ...] = ()
    spatial: bool = False

    @property
    def written(self) -> pa.Schema:
        """Arrow fields of the open form."""
        times = pa.timestamp("us", tz="UTC")
        return pa.schema([pa.field(one.name, times) if one.name in self.moments else one for one in self.columns])


def _columns(names: str, whole_id: bool = True) -> pa.Schema:
    fields = []
    for name in names.split():
        kind = (
            _REAL
            if name in _REAL_NAMES.split()
            else _WHOLE
            if name in _WHOLE_NAMES.split() and (whole_id or name != "id")
            else _TEXT
        )
        kind = {"geometry": pa.binary(), "present": pa.bool_()}.get(name, kind)
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


IDENTITY = (
    StoredTable("release", "releases.parquet", _columns("number id time", whole_id=False), ("number",)),
    StoredTable(
        "entity",
        "entities.parquet",
        _columns("geid layer entity_class source key first_release last_release"),
        ("geid",),
    ),
    StoredTable("source_key", "source_keys.parquet", _columns("source key geid"), ("source", "key")),
    StoredTable("alias", "aliases.parquet", _columns("scheme value geid"), ("scheme", "value", "geid")),
    StoredTable(
        "anchor",
        "anchors.parquet",
        _columns("geid layer source mint_key x y area west south east north"),
        ("geid",),
    ),
    StoredTable("lineage", "lineage.parquet", _columns("geid relation other"), ("geid", "relation", "other")),
    StoredTable("seen", "seen.parquet", _columns("layer source release digest"), ("layer", "source")),
)
"""Identities."""

HISTORY = (
    StoredTable(
        "history_edition",
        "editions.parquet",
        _columns("number kind name recorded_at valid_from note undoes first_version versions steps records"),
        ("number",),
        ("recorded_at", "valid_from"),
    ),
    StoredTable("history_version", "versions.parquet", _columns(_VERSION), ("id",), ("valid_from", "valid_to"), True),
    StoredTable(
        "history_lineage",
        "history_lineage.parquet",
        _columns("geid relation other edition"),
        ("geid", "relation", "other", "edition"),
    ),
    StoredTable(
        "history_bridge",
        "bridges.parquet",
        _columns("edition row source source_key geid change"),
        ("edition", "row"),
    ),
)
"""What is known over time."""

TABLES = (*IDENTITY, *HISTORY)
