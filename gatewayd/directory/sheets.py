"""Workbooks and CSV files as rows of cells. Owns how files are opened, and how large they may be.

Must not know what a row means. A file that is not what it claims to be, or that would unpack to
more than a list can be, is a FileError before much of it is read. Formulas are never evaluated.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import warnings
import zipfile
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError  # the error's class: openpyxl parses

from gatewayd.directory.cells import UNCALCULATED, Cell
from gatewayd.directory.problem import FileError, Place

MAX_FILE_BYTES = 64 * 1024 * 1024  # 100,000 people in a workbook are 6 MB, in CSV 15 MB
MAX_UNPACKED_BYTES = 512 * 1024 * 1024  # the same workbook unpacked is 100 MB
MAX_PARTS = 1_000  # files within a workbook
MAX_ROWS = 300_000
MAX_COLUMNS = 200

_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
HEAD_ROWS, HEAD_CHARACTERS = 10, 20_000  # a header stands in the first rows, below a title
_FORMULA_BYTES = 40
_FORMULA = re.compile(rb"<(?:\w{1,30}:)?f[ />]")
# What openpyxl, zipfile and expat raise over bytes that only look like a workbook.
_NO_WORKBOOK = (
    *(zipfile.BadZipFile, zlib.error, ParseError, EOFError, KeyError, ValueError, TypeError),
    *(AttributeError, IndexError, NotImplementedError, RuntimeError, OSError, ArithmeticError),
    struct.error,
)

Row = Sequence[Cell]


Known = Callable[[str, Row], int]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet or CSV file: `title` is what names its table, `rows` can be read once. `read_as`
    says what was found out about a CSV."""

    place: Place
    title: str
    rows: Iterator[Row]
    read_as: str = ""


def sheets_of(path: Path, known: Known, stack: ExitStack) -> list[Sheet]:
    """The sheets of a file, to be read in any order while `stack` is open. Raises FileError, also
    while rows are read.

    `known(title, row)` is how many headers of that table are in a row: so a CSV's separator is
    found.
    """
    place = Place(path.name)
    raw = _read(path, place)
    if raw.startswith(_OLD_EXCEL):
        raise FileError(place, "it is an old .xls or an encrypted workbook", "save it as .xlsx")
    if raw.startswith(_ZIP):
        return _workbook(raw, place, stack)
    if path.suffix.lower() in {".xlsx", ".xlsm"}:
        what = "it is no workbook, whatever its name says"
        raise FileError(place, what, "one saved as .xlsx, or a CSV file named .csv")
    return [_csv(raw, place, path.stem, known)]


def _read(path: Path, place: Place) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileError(place, f"it can't be read: {error.strerror}", "another file") from error
    if len(raw) > MAX_FILE_BYTES:
        what = f"it is larger than {MAX_FILE_BYTES >> 20} MB"
        raise FileError(place, what, "fewer rows, or several files")
    return raw


# -------------------------------------------------------------------------------------- XLSX


def _workbook(raw: bytes, place: Place, stack: ExitStack) -> list[Sheet]:
    from openpyxl import load_workbook

    # It warns of styles and extensions, which are of no interest, for as long as rows are read.
    warnings.filterwarnings("ignore", module=r"openpyxl\.")
    formulas = _unpacks_to_little(raw, place)
    sheets = []
    with _as_no_workbook(place):
        # Twice where there are formulas: one reading has their values, the other says where.
        for values_only in (True, False) if formulas else (True,):
            book = load_workbook(
                io.BytesIO(raw), read_only=True, data_only=values_only, keep_links=False
            )
            stack.callback(book.close)
            sheets.append([(sheet.title, sheet) for sheet in book.worksheets])
    return [_sheet(place, readings) for readings in zip(*sheets, strict=True)]


def _sheet(place: Place, readings: Sequence[tuple[str, Any]]) -> Sheet:
    title = readings[0][0]
    at = Place(place.file, title)
    return Sheet(at, title, _sheet_rows([sheet for _, sheet in readings], at))


@contextmanager
def _as_no_workbook(place: Place) -> Iterator[None]:
    try:
        yield
    except _NO_WORKBOOK as error:
        what = f"it is no workbook that can be read ({type(error).__name__})"
        raise FileError(place, what, "open it in a spreadsheet, save it as .xlsx") from error


def _unpacks_to_little(raw: bytes, place: Place) -> bool:
    """Whether there are formulas in it. Raises FileError for a bomb: zipfile gives out no more of
    a part than its declared size, so that can be believed."""
    with _as_no_workbook(place), zipfile.ZipFile(io.BytesIO(raw)) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        if size > MAX_UNPACKED_BYTES or len(parts) > MAX_PARTS:
            what = f"it unpacks to {size >> 20} MB in {len(parts)} parts"
            raise FileError(place, what, f"at most {MAX_UNPACKED_BYTES >> 20} MB: fewer rows")
        return any(
            _holds_formula(archive, part)
            for part in parts
            if part.filename.startswith("xl/worksheets/")
        )


def _holds_formula(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    tail = b""
    with archive.open(part) as file:
        while some := file.read(1 << 20):
            if _FORMULA.search(tail + some):
                return True
            tail = some[-_FORMULA_BYTES:]
    return False


def _sheet_rows(sheets: list[Any], place: Place) -> Iterator[Row]:
    for sheet in sheets:
        sheet.reset_dimensions()  # what a file says of its size is often wrong, and rows were lost
    with _as_no_workbook(place):
        readings = [sheet.iter_rows(values_only=True) for sheet in sheets]
        for number, rows in enumerate(zip_longest(*readings, fillvalue=()), 1):
            _refuse_huge(number, max(map(len, rows)), place)
            yield rows[0] if len(rows) == 1 else _with_formulas(*rows)


def _with_formulas(values: Row, formulas: Row) -> Row:
    """A formula that has no value in the file is not the same as an empty cell."""
    return [
        UNCALCULATED if value is None and formula is not None else value
        for value, formula in zip(values, formulas, strict=True)
    ]


def _refuse_huge(row: int, columns: int, place: Place) -> None:
    if row > MAX_ROWS:
        raise FileError(place, f"it has more than {MAX_ROWS} rows", "delete the empty rows below")
    if columns > MAX_COLUMNS:
        what = f"row {row} has {columns} columns"
        raise FileError(place, what, f"at most {MAX_COLUMNS}: delete the others")


# --------------------------------------------------------------------------------------- CSV


def _csv(raw: bytes, place: Place, title: str, known: Known) -> Sheet:
    text, encoding = _decode(raw, place)
    head = text[:HEAD_CHARACTERS]

    def headers(delimiter: str) -> int:
        rows = islice(csv.reader(io.StringIO(head, ""), delimiter=delimiter), HEAD_ROWS)
        return max((known(title, row) for row in rows), default=0)

    delimiter = max(_DELIMITERS, key=headers)
    read_as = f"read as {encoding}, separated by {_DELIMITERS[delimiter]}"
    return Sheet(place, title, _csv_rows(text, delimiter, place), read_as)


def _decode(raw: bytes, place: Place) -> tuple[str, str]:
    """The text and its encoding: what Excel in China saves has no mark, and is no UTF-8."""
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        encodings = [("utf-16", "UTF-16")]
    elif raw.startswith(BOM_UTF8):
        encodings = [("utf-8-sig", "UTF-8")]
    else:
        encodings = [("utf-8", "UTF-8"), ("gb18030", "GB18030")]
    for codec, name in encodings:
        with suppress(UnicodeDecodeError):
            text = raw.decode(codec)
            if "\0" not in text:
                return text, name
    raise FileError(place, "it is neither UTF-8 nor GB18030 text", "save it as CSV in UTF-8")


def _csv_rows(text: str, delimiter: str, place: Place) -> Iterator[Row]:
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, ""), delimiter=delimiter), 1):
            _refuse_huge(number, len(row), place)
            yield row
    except csv.Error as error:
        raise FileError(place, f"it is no CSV: {error}", "save it anew as CSV") from error
