"""The tables of the identities: those of SQLite, with what PostGIS adds to anchors."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision: str | None = None

# Text sorts by bytes (COLLATE "C") as in SQLite, so that pages and exports have one order in every backend. Anchors are
# in the project's working CRS, which the registry does not know: their SRID is 0.
TABLES = """
CREATE TABLE setting (name text COLLATE "C" PRIMARY KEY, value text NOT NULL);
CREATE TABLE release (number bigint PRIMARY KEY, id text COLLATE "C" NOT NULL, time text COLLATE "C" NOT NULL);
CREATE TABLE entity (
    geid text COLLATE "C" PRIMARY KEY, layer text COLLATE "C" NOT NULL, entity_class text COLLATE "C",
    source text COLLATE "C" NOT NULL, key text COLLATE "C", first_release bigint NOT NULL, last_release bigint
);
CREATE INDEX entity_source ON entity (layer, source);
CREATE TABLE source_key (
    source text COLLATE "C", key text COLLATE "C", geid text COLLATE "C" NOT NULL, PRIMARY KEY (source, key)
);
CREATE INDEX source_key_geid ON source_key (geid);
CREATE TABLE alias (
    scheme text COLLATE "C", value text COLLATE "C", geid text COLLATE "C", PRIMARY KEY (scheme, value, geid)
);
CREATE INDEX alias_geid ON alias (geid);
CREATE INDEX alias_value ON alias (value);
CREATE TABLE anchor (
    geid text COLLATE "C" PRIMARY KEY, layer text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL,
    mint_key text COLLATE "C" NOT NULL,
    x double precision NOT NULL, y double precision NOT NULL, area double precision NOT NULL,
    west double precision NOT NULL, south double precision NOT NULL,
    east double precision NOT NULL, north double precision NOT NULL,
    place geometry(Point) GENERATED ALWAYS AS (ST_MakePoint(x, y)) STORED,
    box geometry(Polygon) GENERATED ALWAYS AS (ST_MakeEnvelope(west, south, east, north)) STORED
);
CREATE INDEX anchor_source ON anchor (layer, source);
CREATE INDEX anchor_box ON anchor USING gist (box);
CREATE TABLE lineage (
    geid text COLLATE "C", relation text COLLATE "C", other text COLLATE "C", PRIMARY KEY (geid, relation, other)
);
CREATE TABLE seen (
    layer text COLLATE "C", source text COLLATE "C", release bigint NOT NULL, digest text NOT NULL,
    PRIMARY KEY (layer, source)
);
CREATE VIEW entity_seen AS
    SELECT e.geid, e.layer, e.entity_class, e.source, e.key,
           f.time AS first_seen, f.id AS first_release, l.time AS last_seen, l.id AS last_release,
           e.last_release IS NOT NULL AS retired
    FROM entity e
    JOIN release f ON f.number = e.first_release
    LEFT JOIN seen s ON s.layer = e.layer AND s.source = e.source
    LEFT JOIN release l ON l.number = coalesce(e.last_release, s.release)
"""


def upgrade() -> None:
    """Makes them."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)
