"""What differs between the databases that can hold a history; everything else is written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, Table

from twin.errors import StoreError

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


class Dialect(Protocol):
    """A kind of database.

    Attributes:
        errors: What its driver raises, wrapped by SQLAlchemy and plain.
    """

    errors: tuple[type[Exception], ...]

    def engine(self) -> Engine:
        """Connections to it; none is opened yet."""

    def prepare(self) -> None:
        """Makes the tables where they are missing, and checks whose and of which version they are.

        Raises:
            StoreError: They are of another version or authority, or cannot be made.
        """

    def is_there(self) -> bool:
        """True if there are tables to read."""

    def begin(self, connection: Connection) -> None:
        """Begins the transaction of the one writer; waits for another one.

        Raises:
            Exception: One of `errors`: it waited in vain; `explained` says so.
        """

    def insert(self, connection: Connection, table: Table, columns: Sequence[Sequence[Any]]) -> None:
        """Adds many rows; the columns are all those of the table, in its order."""

    def insert_boxes(self, connection: Connection, ids: Sequence[int], boxes: Sequence[Sequence[float | None]]) -> None:
        """Makes versions findable by place: west, south, east, north, each a column; null without a place."""

    def within(self, box: Box) -> ColumnElement[bool]:
        """Which versions may touch a box, by an index; a few too many do no harm."""

    def among(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """Which rows have one of many values."""

    def damage(self, connection: Connection) -> list[str]:
        """Sentences about what the database itself finds broken, its index by place included."""

    def explained(self, error: Exception) -> StoreError:
        """One of `errors` as one that says what to do next."""
