"""What a notebook says of itself: its parameters, the files it reads and the files it writes.

notebooks = find_notebooks(Path("notebooks"))
notebooks[0].defaults["seed"], notebooks[0].writes

The parameters stand in the cell tagged `parameters`, as plain literals with a comment each; the
files stand between backticks in the rows `| reads | ... |` and `| writes | ... |` of the table at
the top. `<run>` in a file name stands for anything, and a name followed by "(if ...)" may be
missing.
"""

import ast
import io
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from starwise.errors import StarwiseError

LAST = 4  # notebook 05 is a page for visitors, not a step of a run


class BatchError(StarwiseError):
    """The run cannot start as it was asked for."""


@dataclass(frozen=True)
class Notebook:
    """One numbered notebook; `reads` and `writes` are patterns below the outputs folder."""

    name: str
    path: Path
    defaults: Mapping[str, Any]
    comments: Mapping[str, str]
    reads: tuple[str, ...]
    may_read: tuple[str, ...]
    writes: tuple[str, ...]
    code: tuple[str, ...] = field(repr=False)

    @property
    def number(self) -> int:
        return int(self.name[:2])


def find_notebooks(folder: Path) -> list[Notebook]:
    """Return the notebooks 01 to 04 of `folder` in order."""
    found = [read_notebook(path) for path in sorted(folder.glob("0[0-9]_*.ipynb"))]
    series = [notebook for notebook in found if notebook.number <= LAST]
    if not series:
        raise BatchError(f"There are no notebooks to run in {folder}.")
    return series


def read_notebook(path: Path) -> Notebook:
    """Read one notebook's own account of itself."""
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception as error:
        raise BatchError(f"{path} cannot be read as a notebook: {error}.") from error
    code = tuple(cell.source for cell in cells if cell.cell_type == "code")
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    defaults, comments = _read_parameters(path.stem, "\n".join(tagged))
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    reads, may_read = _files(prose, "reads")
    writes, may_write = _files(prose, "writes")
    return Notebook(
        path.stem, path.absolute(), defaults, comments, reads, may_read, writes + may_write, code
    )


def _read_parameters(name: str, source: str) -> tuple[dict[str, Any], dict[str, str]]:
    # papermill's own inspection gives up on a line with two equals signs, so we ask Python.
    remarks = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    defaults, comments = {}, {}
    for statement in ast.parse(source).body:
        try:
            assert isinstance(statement, ast.Assign)
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            defaults[target.id] = ast.literal_eval(statement.value)
        except (AssertionError, ValueError) as error:
            raise BatchError(
                f"{name}: the parameters cell may hold plain values only, "
                f"not {ast.unparse(statement)!r}."
            ) from error
        comments[target.id] = remarks.get(statement.end_lineno or 0, "")
    return defaults, comments


def _files(prose: str, row: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files that a row of the table surely names, and those that may be missing."""
    line = re.search(rf"^\|\s*{row}\s*\|(.*)\|\s*$", prose, flags=re.MULTILINE)
    names = re.findall(
        r"`([\w./<>-]+[./][\w<>./-]*)`(\s*\((?:if|when)\b)?", line[1] if line else ""
    )
    patterns = [(re.sub(r"<[^>]*>", "*", name), bool(condition)) for name, condition in names]
    return (
        tuple(pattern for pattern, optional in patterns if not optional),
        tuple(pattern for pattern, optional in patterns if optional),
    )
