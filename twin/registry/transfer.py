"""Taking a registry with you: from one database to another, into the open form and back, whole and exact."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.errors import MisuseError, StoreError
from twin.registry.integrity import verify
from twin.registry.open import is_database_url
from twin.registry.schema import connect, explained
from twin.registry.transfer_database import Side, copy_tables, reading, writing
from twin.registry.transfer_files import MANIFEST, Files, appearing, write_files
from twin.registry.transfer_tables import HISTORY, TABLES

SQLITE_ENDINGS = (".sqlite", ".sqlite3", ".db")
"""How a place ends that is to be an SQLite file; any other is to be a folder in the open form."""

_FOLLOWING = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was copied.

    Attributes:
        place: Where to, as it may be shown.
        form: "sqlite", "open" or "postgis".
        rows: Of each table.
    """

    place: str
    form: str
    rows: Mapping[str, int]


def export_registry(where: Path | str, authority: str, target: Path, crs: Mapping[str, Any] | None) -> Transfer:
    """Copies a registry as it is at one moment, while others may use it.

    Args:
        where: The registry.
        authority: Who mints.
        target: A new SQLite file (`.sqlite`, `.db`), or a new folder in the open form.
        crs: PROJJSON of the geometries; None where it must not be told.

    Raises:
        StoreError: The registry cannot be read, or the target exists or cannot be written.
    """
    if target.suffix.lower() not in SQLITE_ENDINGS:
        with reading(where, authority) as source:
            return Transfer(str(target), "open", write_files(source, target, crs))
    with appearing(target) as made:
        if is_database_url(where):
            with reading(where, authority) as source:
                rows = _copy(source, made, authority)
        else:
            rows = _copy_file(Path(where), authority, made)
        _settle(made)
    return Transfer(str(target), "sqlite", rows)


def back_up(where: Path | str, authority: str, target: Path, crs: Mapping[str, Any] | None) -> Transfer:
    """As `export_registry`, and reads the copy again: one that cannot be restored is no backup.

    Raises:
        StoreError: As `export_registry`; the copy is not whole.
    """
    made = export_registry(where, authority, target, crs)
    if made.form == "sqlite":
        broken = verify(target, authority)
        if broken:
            step = "run `twin registry verify`: the registry itself may be damaged"
            raise StoreError(f"the copy is not whole: {broken[0]}", file=target, next_step=step)
        return made
    files = Files(target)
    for table in files.tables():
        count = sum(map(len, files.read(table)))
        if count != made.rows[table.name]:
            raise StoreError(f"the copy has {count} rows of {table.name}, not {made.rows[table.name]}", file=target)
    return made


def import_registry(source: Path, where: Path | str, authority: str) -> Transfer:
    """Fills an empty registry with what was exported, in one transaction.

    Args:
        source: An SQLite registry, or a folder in the open form.
        where: The registry to fill; made if it is missing.
        authority: Who mints.

    Raises:
        MisuseError: The source is the registry itself.
        StoreError: The source is missing, damaged or of another authority, or the registry is not empty.
    """
    if not is_database_url(where) and source.resolve() == Path(where).resolve():
        raise MisuseError("the registry cannot be imported into itself", next_step="name another file or folder")
    form = "postgis" if is_database_url(where) else "sqlite"
    place = "the database" if is_database_url(where) else str(where)
    if (source / MANIFEST).is_file() or source.is_dir():
        files = Files(source)
        _refuse_foreign(files, authority, source)
        return Transfer(place, form, _copy(files, where, authority))
    with reading(source, authority) as side:
        return Transfer(place, form, _copy(side, where, authority))


def _refuse_foreign(files: Files, authority: str, source: Path) -> None:
    if files.authority != authority:
        raise StoreError(
            f"the registry belongs to the authority {files.authority!r}, the project says {authority!r}",
            file=source,
            next_step=f"set [project] authority = {files.authority!r}: every identifier rests on it",
        )


def _copy(source: Side, where: Path | str, authority: str) -> dict[str, int]:
    with writing(where, authority, with_history=HISTORY[0] in source.tables()) as target:
        return copy_tables(source, target)


def _copy_file(path: Path, authority: str, made: Path) -> dict[str, int]:
    """SQLite's own online copy: page by page, writers go on."""
    database = connect(path, authority, read_only=True)
    copy = sqlite3.connect(made)
    try:
        database.backup(copy)
        names = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        sql = 'SELECT count(*) FROM "{}"'
        tables = [table.name for table in TABLES if table.name in names]
        return {name: int(copy.execute(sql.format(name)).fetchone()[0]) for name in tables}
    except sqlite3.Error as error:
        raise explained(path, error) from error
    finally:
        copy.close()
        database.close()


def _settle(made: Path) -> None:
    """Leaves one file, without the log SQLite keeps beside it."""
    database = sqlite3.connect(made)
    database.execute("PRAGMA journal_mode = DELETE")
    database.close()
    for end in _FOLLOWING:
        made.with_name(made.name + end).unlink(missing_ok=True)
