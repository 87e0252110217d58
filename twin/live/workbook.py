"""Rows of a sheet of an Excel workbook; the one home of openpyxl."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twin.caught import caught_warnings
from twin.errors import MisuseError, SourceError


def sheet_lines(path: Path, sheet: str | None) -> Iterator[tuple[Any, ...]]:
    """Values of a sheet, row by row: texts, numbers, datetimes, None; of formulas the value last computed.

    Raises:
        MisuseError: openpyxl is not installed, or there is no such sheet.
        SourceError: The file is no workbook.
    """
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise MisuseError(
            "openpyxl is not installed, which reads workbooks",
            file=path,
            next_step="pip install 'district-twin[excel]', or save the sheet as CSV",
        ) from error
    try:
        with caught_warnings("ignore"):  # styles and extensions that mean nothing to values
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, InvalidFileException, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise SourceError(
            f"is no workbook that can be read: {error}", file=path, next_step="save it as .xlsx"
        ) from error
    try:
        names = book.sheetnames
        if sheet is not None and sheet not in names:
            raise MisuseError(
                f"there is no sheet {sheet!r}; there are {', '.join(names)}", file=path, next_step="set `sheet`"
            )
        yield from book[sheet or names[0]].iter_rows(values_only=True)
    finally:
        book.close()
