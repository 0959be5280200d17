"""The list as a workbook or as CSV files, for their owner only. Owns what files an export makes.

Must not replace a file: it may be the one that someone has been editing for hours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gatewayd.directory import shown
from gatewayd.directory.listing import Listing
from gatewayd.directory.problem import DirectoryError
from gatewayd.directory.shown import Showing
from gatewayd.directory.tables import TABLES
from gatewayd.store.durable import write_whole

AS_TEXT = "@"  # the number format of cells that a spreadsheet must leave as they are
WIDTH = 18  # of a column, in characters


def export(target: Path, listing: Listing, showing: Showing) -> list[Path]:
    """Write the workbook that `target` names by its ending, else a folder of CSV files; the files
    made. Raises DirectoryError for any other ending or where one is there already, and OSError."""
    as_workbook = target.suffix.lower() == ".xlsx"
    if target.suffix and not as_workbook and not target.is_dir():
        what = f"{target} would be neither a workbook nor a folder"
        raise DirectoryError(f"{what}: name a file.xlsx, or a folder without an ending")
    if as_workbook:
        contents = {target: _workbook(listing, showing)}
    else:
        contents = dict(_csv_files(target, listing, showing))
    for path in contents:
        if path.exists():
            raise DirectoryError(f"{path} is there already: name another, or remove it")
    if not as_workbook:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)


def _csv_files(folder: Path, listing: Listing, showing: Showing) -> Iterator[tuple[Path, bytes]]:
    for table in TABLES:
        rows = shown.rows(table, listing, showing)
        yield folder / f"{table.title(showing.language)}.csv", _csv(rows)


def _csv(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8-sig")  # the mark tells Excel that it is UTF-8


def _workbook(listing: Listing, showing: Showing) -> bytes:
    from openpyxl import Workbook

    # All rows first: a book that is given up half-way leaves its temporary files behind.
    made = [(table, list(shown.rows(table, listing, showing))) for table in TABLES]
    book = Workbook(write_only=True)
    for table, rows in made:
        sheet = book.create_sheet(table.title(showing.language))
        sheet.freeze_panes = "A2"
        for index in range(1, len(table.columns) + 1):
            _text_column(sheet, index)
        for row in rows:
            sheet.append([_text_cell(sheet, value) if value else None for value in row])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _text_column(sheet: Any, index: int) -> None:  # noqa: ANN401  # openpyxl's types lack it
    """What is typed into a new row stays as it is typed, too."""
    from openpyxl.utils import get_column_letter

    dimension = sheet.column_dimensions[get_column_letter(index)]
    dimension.width = WIDTH
    dimension.number_format = AS_TEXT


def _text_cell(sheet: Any, value: str) -> Any:  # noqa: ANN401  # as above
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value)
    cell.number_format = AS_TEXT
    return cell
