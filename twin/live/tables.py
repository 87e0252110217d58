"""The tables of the events, one text for every database."""

from __future__ import annotations

from collections.abc import Mapping

VERSION = 1
"""Of the tables; a store of a later one is refused."""

BUCKET_BITS = 13
"""A file keeps its index of entities in pieces of 8,192 offsets: new reports change the few pages of the last piece,
not one page each all over the index, which would cost more writing than the reports themselves."""

SQLITE_TYPES: Mapping[str, str] = {
    "whole": "INTEGER",
    "real": "REAL",
    "text": "TEXT",
    "number": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "by_case": "WITHOUT ROWID",
    "by_geid": f"number >> {BUCKET_BITS}, geid, number",
}
POSTGRES_TYPES: Mapping[str, str] = {
    "whole": "bigint",
    "real": "double precision",
    "text": 'text COLLATE "C"',
    "number": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "by_case": "WITH (fillfactor = 80)",
    "by_geid": "geid, number",
}

_TABLES = """
CREATE TABLE live_clock (
    one {whole} PRIMARY KEY CHECK (one = 1),
    version {whole} NOT NULL,
    epoch {text} NOT NULL,
    last {whole} NOT NULL,
    first {whole} NOT NULL,
    recorded_ms {whole} NOT NULL,
    ahead_ms {whole} NOT NULL,
    reports {whole} NOT NULL,
    linked {whole} NOT NULL,
    pruned {whole} NOT NULL
);
CREATE TABLE live_report (
    number {whole} PRIMARY KEY,
    recorded_ms {whole} NOT NULL,
    source {text} NOT NULL,
    message_id {text} NOT NULL,
    case_id {text} NOT NULL,
    kind {text} NOT NULL,
    status {text} NOT NULL,
    severity {text} NOT NULL,
    title {text} NOT NULL,
    occurred_ms {whole} NOT NULL,
    reported_ms {whole},
    due_ms {whole},
    place_geid {text},
    place_code {text},
    place_sensor {text},
    address {text},
    place_lon {real},
    place_lat {real},
    place_h {real},
    accuracy_m {real},
    value {real},
    unit {text},
    data {text} NOT NULL,
    geid {text},
    method {text} NOT NULL,
    confidence {real} NOT NULL,
    distance_m {real},
    lon {real},
    lat {real},
    h {real}
);
CREATE UNIQUE INDEX live_report_message ON live_report (message_id, source);
CREATE INDEX live_report_case ON live_report (case_id, source, occurred_ms, number);
CREATE INDEX live_report_kind ON live_report (kind, number);
CREATE INDEX live_report_occurred ON live_report (occurred_ms);
CREATE INDEX live_report_geid ON live_report ({by_geid}) WHERE geid IS NOT NULL;
CREATE TABLE live_latest (
    source {text} NOT NULL,
    case_id {text} NOT NULL,
    number {whole} NOT NULL,
    occurred_ms {whole} NOT NULL,
    kind {text} NOT NULL,
    geid {text},
    is_open {whole} NOT NULL,
    PRIMARY KEY (source, case_id)
) {by_case};
CREATE INDEX live_latest_open ON live_latest (kind) WHERE is_open = 1;
CREATE INDEX live_latest_geid ON live_latest (geid) WHERE geid IS NOT NULL;
CREATE TABLE live_refusal (
    number {number},
    recorded_ms {whole} NOT NULL,
    source {text} NOT NULL,
    code {text} NOT NULL,
    reason {text} NOT NULL,
    body {text} NOT NULL,
    mended_by {whole}
);
CREATE INDEX live_refusal_pending ON live_refusal (number) WHERE mended_by IS NULL;
CREATE TABLE live_learnt (
    number {number},
    learnt_ms {whole} NOT NULL,
    text {text} NOT NULL,
    geid {text} NOT NULL,
    who {text} NOT NULL
);
CREATE INDEX live_learnt_text ON live_learnt (text, number);
CREATE TABLE live_key (
    id {text} PRIMARY KEY,
    name {text} NOT NULL,
    kinds {text},
    areas {text},
    may {text} NOT NULL,
    created_ms {whole} NOT NULL,
    expires_ms {whole},
    revoked_ms {whole},
    secret_hash {text} NOT NULL
)
"""


def statements(types: Mapping[str, str]) -> list[str]:
    """What makes the tables in a database that has none.

    Args:
        types: `SQLITE_TYPES` or `POSTGRES_TYPES`.
    """
    return [one.strip().format(**types) for one in _TABLES.split(";\n")]


FIRST_CLOCK = "INSERT INTO live_clock VALUES (1, ?, ?, 0, 1, 0, 0, 0, 0, 0)"
"""Starts the clock of an empty store: version, epoch."""
