"""Labels of images, from a table or an array, as factors."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factors import Factor

Labels = tuple[FactorSpace, NDArray[np.float32]]
_FILE_COLUMNS = ("file", "filename", "path")
_MOST_VALUES = 20
"""Numbers that take more values than this are a range, which is cut into as many bins."""


def read_labels(table: str | Path, n: int, files: Sequence[str] | None = None) -> Labels:
    """Read one label a column and one image a row from a CSV with a header.

    Args:
        table: The CSV. Its column ``file``, ``filename`` or ``path``, if there is one, says which
            image a row is of; it is no label.
        n: Number of images.
        files: Their relative paths, in order; None for images without names, whose rows are in
            the order of the images. Rows are so too where the CSV does not name files.

    Returns:
        The factors, and the values, float32 [n, K].

    Raises:
        ValueError: Rows or values are missing, or there are too many.
    """
    table = Path(table)
    names, rows = _read_table(table)
    named = next((name for name in names if name.lower() in _FILE_COLUMNS), None)
    if files is not None and named is not None:
        column = names.index(named)
        rows = _match(table, [row[column] for row in rows], rows, files)
    if len(rows) != n:
        raise ValueError(f"{table} has {len(rows)} rows of labels for {n} images.")
    columns = {
        name: np.array([row[column] for row in rows])
        for column, name in enumerate(names)
        if name != named
    }
    return _to_factors({name: _numbers(column) for name, column in columns.items()}, str(table))


def label_columns(array: ArrayLike, n: int, where: str) -> Labels:
    """Return labels, [n, K] or [n] of numbers or strings, as factors ``factor_0`` and so on.

    Raises:
        ValueError: The shape is wrong, or a value is missing.
    """
    values = np.asarray(array)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != n or values.dtype.kind not in "biufUS":
        raise ValueError(
            f"{where} should be numbers or strings of shape [{n}, K], a row for each image, got "
            f"{values.dtype} {list(np.shape(array))}."
        )
    if values.dtype.kind == "S":
        values = np.char.decode(values)
    return _to_factors({f"factor_{k}": column for k, column in enumerate(values.T)}, where)


def _to_factors(columns: dict[str, NDArray[np.generic]], where: str) -> Labels:
    found = [_to_factor(name, column, where) for name, column in columns.items()]
    space = FactorSpace(tuple(factor for factor, _ in found))
    return space, np.stack([numbers for _, numbers in found], axis=1).astype(np.float32)


def _to_factor(
    name: str, column: NDArray[np.generic], where: str
) -> tuple[Factor, NDArray[np.generic]]:
    """Return a factor for a column, and its values as numbers.

    Labels say nothing of who changes them. They are taken as appearance: drawn anew for each
    image, and seen in it.
    """
    is_text = column.dtype.kind == "U"
    missing = column == "" if is_text else ~np.isfinite(column.astype(np.float64))
    if missing.any():
        raise ValueError(
            f"{where}: {name!r} has no value in row {int(missing.argmax())} (the first is 0), and "
            f"{int(missing.sum())} are missing in all. Fill them in, or leave out the column."
        )
    values, index = np.unique(column, return_inverse=True)
    if is_text:
        return Factor(name, "appearance", values=tuple(map(str, values))), index
    if len(values) <= _MOST_VALUES:
        return Factor(name, "appearance", values=tuple(map(float, values))), column
    low, high = float(values[0]), float(values[-1])
    return Factor(name, "appearance", low=low, high=high, bins=_MOST_VALUES), column


def _numbers(column: NDArray[np.str_]) -> NDArray[np.generic]:
    """Return a column of a table as numbers if all that is filled in are numbers."""
    filled = column != ""
    try:
        numbers = np.full(len(column), np.nan)
        numbers[filled] = column[filled].astype(np.float64)
    except ValueError:
        return column
    return numbers if filled.any() else column


def _read_table(table: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            names, *rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} is not a CSV in UTF-8: {error}.") from error
    except ValueError as error:
        raise ValueError(f"{table} is empty; its first line names the labels.") from error
    if "" in names or len(set(names)) != len(names):
        raise ValueError(f"{table}: the header must name each column, once, got {names}.")
    if not [name for name in names if name.lower() not in _FILE_COLUMNS]:
        raise ValueError(f"{table} has no column of labels, only {names}.")
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(
                f"{table}: row {number} (the first is 0) has {len(row)} cells, but the header "
                f"names {len(names)} columns, {names}."
            )
    return names, rows


def _match(
    table: Path, given: list[str], rows: list[list[str]], files: Sequence[str]
) -> list[list[str]]:
    """Return the rows in the order of the files."""
    paths = [PurePosixPath(name.replace("\\", "/")).as_posix() for name in given]
    by_path = dict(zip(paths, rows, strict=True))
    repeated = sorted(path for path, times in Counter(paths).items() if times > 1)
    for what, names in (
        ("names files that are not there", sorted(by_path.keys() - set(files))),
        ("has no row for", sorted(set(files) - by_path.keys())),
        ("has more than one row for", repeated),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise ValueError(f"{table} {what}: {', '.join(names[:5])}{more}.")
    return [by_path[file] for file in files]
