"""Every notebook keeps the series' anatomy, so that a learner and a batch run find their way."""

import ast
import re
import statistics
from pathlib import Path

import nbformat
import pytest

from starwise.batch.notebooks import LAST, find_notebooks, read_notebook
from starwise.paths import project_root

FOLDER = project_root() / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
BY_HAND = {"labels.jsonl"}  # written by whoever sits at the labelling desk
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "") -> list[nbformat.NotebookNode]:
    found = nbformat.read(path, as_version=4).cells
    return [cell for cell in found if not kind or cell.cell_type == kind]


def test_the_series_has_its_five_notebooks():
    names = ["01_collect", "02_label", "03_train", "04_evaluate", "05_dashboard"]
    assert [path.stem for path in PATHS] == names


@each_notebook
def test_it_is_committed_without_outputs(path):
    for cell in cells(path, "code"):
        assert not cell.outputs and cell.execution_count is None, cell.source
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3"
    nbformat.validate(nbformat.read(path, as_version=4))


@each_notebook
def test_it_opens_with_a_title_a_question_and_its_table(path):
    opening = cells(path)[0].source
    assert re.match(r"# \d\d\b.*\n\n\*\*.+\?\*\*\n", opening), opening[:200]
    for row in ("reads", "writes", "takes"):
        assert len(re.findall(rf"^\| {row} \| \S.* \|$", opening, flags=re.MULTILINE)) == 1, row


@each_notebook
def test_it_has_one_cell_of_parameters_each_a_plain_value_with_its_meaning(path):
    tagged = [cell for cell in cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    notebook = read_notebook(path)
    assert notebook.defaults.pop("outputs") == "../outputs"
    for name, value in notebook.defaults.items():
        assert type(value) in (bool, int, float, str), name
        assert len(notebook.comments[name]) >= 10, f"{name} needs a comment: its meaning and unit"


@each_notebook
def test_no_cell_puts_something_else_into_a_parameter(path):
    names = set(read_notebook(path).defaults)
    for cell in cells(path, "code"):
        if "parameters" in cell.metadata.get("tags", []) or cell.source.startswith("%"):
            continue
        for statement in ast.parse(cell.source).body:
            words = [word for word in ast.walk(statement) if isinstance(word, ast.Name)]
            put = {word.id for word in words if isinstance(word.ctx, ast.Store)}
            read = {word.id for word in words if isinstance(word.ctx, ast.Load)}
            assert not (put & names) - read, f"what the reader gave is lost: {cell.source}"


@each_notebook
def test_its_cells_are_short_and_told(path):
    code = [cell.source for cell in cells(path, "code")]
    lengths = sorted(len(source.splitlines()) for source in code)
    assert statistics.median(lengths) <= 7, lengths
    assert sum(length > 15 for length in lengths) <= 3 and lengths[-1] <= 40, lengths
    prose = [cell.source for cell in cells(path, "markdown")]
    assert sum(map(len, prose)) >= 0.8 * sum(map(len, code))
    in_a_row = max(len(run) for run in re.findall("c+", _kinds(path)))
    assert in_a_row <= 3, f"{in_a_row} cells of code without a word between them"
    assert cells(path)[-1].cell_type == "markdown", "a notebook ends with what we built"


def _kinds(path: Path) -> str:
    return "".join(cell.cell_type[0] for cell in cells(path))


@each_notebook
def test_its_code_can_be_read_by_python(path):
    for cell in cells(path, "code"):
        plain = re.sub(r"^(\s*)([%!].*)$", r"\1pass", cell.source, flags=re.MULTILINE)
        ast.parse(plain)


@each_notebook
def test_it_names_no_folder_of_somebodys_machine(path):
    text = path.read_text("utf-8")
    assert not re.search(r"(?<![\w.:/])/(?:work|home|root|tmp|Users|opt|usr|var)/", text)
    assert not re.search(r"\b[A-Z]:\\\\", text)


@each_notebook
def test_every_exercise_has_its_solution(path):
    text = "\n".join(cell.source for cell in cells(path))
    loaded = re.findall(r"%load\s+([\w./]+)", text)
    for name in loaded:
        compile((FOLDER / name).read_text("utf-8"), name, "exec")
    assert len(re.findall(r"exercise", text, flags=re.IGNORECASE)) >= 1 and loaded


def test_no_solution_is_left_without_its_exercise():
    text = "\n".join(path.read_text("utf-8") for path in PATHS)
    for solution in (FOLDER / "solutions").glob("*.py"):
        assert f"%load solutions/{solution.name}" in text


def test_what_a_notebook_reads_an_earlier_one_writes():
    written: set[str] = set()
    for notebook in find_notebooks(FOLDER):
        for name in notebook.reads:
            assert name in written, f"{notebook.name} reads {name}, which nobody writes"
        for name in notebook.may_read:
            # Or it is the notebook's own of an earlier run, or a person's.
            known = name in written or name in notebook.writes or name in BY_HAND
            assert known, f"{notebook.name} reads {name}, which nobody writes"
        written.update(notebook.writes)
    assert LAST == 4
