"""The tables of the history: added to, never altered; versions are found by place through an index on their box."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

# Frozen as it was when this migration was written; a test compares what all migrations make with
# `twin.registry.history_tables`.
TABLES = """
CREATE TABLE history_edition (
    number bigint PRIMARY KEY, kind text NOT NULL, name text NOT NULL, recorded_at bigint NOT NULL UNIQUE,
    valid_from bigint NOT NULL, note text NOT NULL, undoes bigint UNIQUE, first_version bigint NOT NULL,
    versions bigint NOT NULL, steps bigint NOT NULL, records bigint NOT NULL
);
CREATE TABLE history_version (
    id bigint PRIMARY KEY, edition bigint NOT NULL, geid text COLLATE "C" NOT NULL, layer text, entity_class text,
    source text, source_key text, name text, address text, aliases text, parent text,
    lon double precision, lat double precision, height double precision,
    west double precision, south double precision, east double precision, north double precision,
    base_m double precision, roof_m double precision, height_m double precision, storeys double precision,
    height_source text, height_confidence double precision, ground_source text, grade text, attributes text,
    provenance text, geometry bytea, valid_from bigint NOT NULL, valid_to bigint NOT NULL, present boolean NOT NULL
);
CREATE INDEX history_version_geid ON history_version (geid, edition, valid_from, valid_to);
CREATE INDEX history_version_box ON history_version USING gist (ST_MakeEnvelope(west, south, east, north, 4326));
CREATE TABLE history_lineage (
    geid text COLLATE "C", relation text COLLATE "C", other text COLLATE "C", edition bigint,
    PRIMARY KEY (geid, relation, other, edition)
);
CREATE INDEX history_lineage_other ON history_lineage (other);
CREATE TABLE history_bridge (
    edition bigint, row bigint, source text NOT NULL, source_key text, geid text COLLATE "C" NOT NULL,
    change text NOT NULL, PRIMARY KEY (edition, row)
);
CREATE FUNCTION history_fixed() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''a history is only added to'' USING ERRCODE = ''restrict_violation''; END';
INSERT INTO setting VALUES ('history_schema', '1')
"""
FIXED = ("history_edition", "history_version", "history_lineage", "history_bridge")


def upgrade() -> None:
    """Makes them, and forbids to change what they hold."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for table in FIXED:
        op.execute(
            f"CREATE TRIGGER {table}_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION history_fixed()"
        )
