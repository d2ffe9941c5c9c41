"""A batch run: what is checked before, what is said of a failure, what a second run redoes.

The notebooks are small ones of our own, so that each fault takes a second or two.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from starwise.batch.execute import NotebookError
from starwise.batch.notebooks import BatchError, find_notebooks
from starwise.batch.series import AnotherRunError, run_series
from starwise.batch.steps import choose
from starwise.cli import main as command_line
from starwise.paths import Outputs

PARAMETERS = """\
outputs = "../outputs"  # where files go
seed = 0                # any whole number; the same = the same
rate = 0.5              # a share, 0 to 1
careful = True          # look twice
"""
FIRST = 'Path(outputs, "a.txt").write_text(str(seed))'
SECOND = 'Path(outputs, "b.txt").write_text(Path(outputs, "a.txt").read_text() + "!")'


def write_notebook(folder: Path, name: str, cells: list[str], reads="", writes="", corpus=False):
    table = f"# {name}\n\n| reads | {reads} |\n|---|---|\n| writes | {writes} |\n"
    parameters = PARAMETERS + ('corpus = ""             # a file\n' if corpus else "")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(table),
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("from pathlib import Path"),
            *[nbformat.v4.new_code_cell(cell) for cell in cells],
        ],
        metadata={
            "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}
        },
    )
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two notebooks: 01 writes a.txt, 02 makes b.txt from it."""
    folder = tmp_path / "notebooks {with} spaces"
    write_notebook(folder, "01_first", [FIRST], "nothing", "`a.txt`", corpus=True)
    write_notebook(folder, "02_second", [SECOND], "`a.txt`", "`b.txt`, `extra/` (if asked)")
    return folder


@pytest.fixture
def outputs(tmp_path) -> Outputs:
    return Outputs(tmp_path / "out puts")


def run(folder: Path, outputs: Outputs, fresh=False, cell_timeout=60, **options) -> None:
    notebooks = find_notebooks(folder)
    run_series(notebooks, choose(notebooks, **options), outputs, fresh, cell_timeout)


def test_a_run_writes_results_and_executed_copies(folder, outputs, capsys):
    write_notebook(folder, "01_first", [FIRST, "print('hello\\nreader')"], "", "`a.txt`")
    run(folder, outputs, values=[("01_first.seed", "7")])
    assert (outputs.root / "b.txt").read_text() == "7!"
    copies = sorted(path.name for path in outputs.notebooks.iterdir())
    assert copies == ["01_first.ipynb", "02_second.ipynb"]
    said = capsys.readouterr().out
    assert "01_first: running" in said and "02_second: done in" in said
    assert "        hello\n        reader\n" in said
    assert str(outputs.notebooks) in said


def test_the_kernel_is_this_very_interpreter(folder, outputs):
    code = "import sys; Path(outputs, 'a.txt').write_text(sys.executable)"
    write_notebook(folder, "01_first", [code], "", "`a.txt`")
    run(folder, outputs, last=1)
    assert (outputs.root / "a.txt").read_text() == sys.executable


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("01_first.sed", "1", "no parameter 'sed'; it has seed, rate, careful, corpus. Did you"),
        ("07_other.seed", "1", "no notebook '07_other'; the notebooks are 01_first, 02_second"),
        ("seed", "1", "'seed' has no notebook"),
        ("01_first.seed", "two", "must be a whole number (its default is 0), not 'two'"),
        ("01_first.seed", "1.5", "must be a whole number"),
        ("01_first.rate", "nan", "must be a number"),
        ("01_first.careful", "maybe", "must be true or false"),
        ("01_first.outputs", "/tmp", "set STARWISE_OUTPUTS"),
        ("01_first.corpus", "/nowhere/reviews.csv", "There is no file /nowhere/reviews.csv"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(folder, outputs, key, value, sentence):
    with pytest.raises(BatchError) as refusal:
        run(folder, outputs, values=[(key, value)])
    assert sentence in str(refusal.value)
    assert not outputs.root.exists()


def test_values_take_the_type_of_the_default(folder):
    values = [("1.seed", "-3"), ("01.rate", "1"), ("01_first.careful", "False")]
    (step, _) = choose(find_notebooks(folder), values=values)
    assert step.parameters == {"seed": -3, "rate": 1.0, "careful": False}
    assert [type(value) for value in step.parameters.values()] == [int, float, bool]


def test_a_corpus_goes_to_the_notebook_that_reads_it_first(folder, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("text,rating\n")
    (step, second) = choose(find_notebooks(folder), corpus=str(file))
    assert step.corpus == str(file) and second.corpus == ""
    with pytest.raises(BatchError, match="read by notebook 1 or 2"):
        choose(find_notebooks(folder), first=2, corpus=str(file))
    with pytest.raises(BatchError, match=r"neither a \.csv nor a \.parquet"):
        choose(find_notebooks(folder), corpus=__file__)


def test_an_empty_range_is_refused(folder):
    with pytest.raises(BatchError, match="between --from 3 and --to 1; use 1 to 2"):
        choose(find_notebooks(folder), first=3, last=1)


def test_the_command_line_says_bad_usage_in_a_sentence(capsys):
    assert command_line(["run", "-p", "03_train.epoch", "2"]) == 2
    assert capsys.readouterr().err.startswith("starwise run: ")


def test_an_error_names_the_notebook_and_the_cell(folder, outputs, capsys):
    write_notebook(folder, "01_first", ["# a remark\nfail = 1 / 0"], "", "`a.txt`")
    with pytest.raises(NotebookError) as failure:
        run(folder, outputs)
    said = str(failure.value)
    # Cell 2 holds the run's own parameters.
    assert said.startswith("01_first failed in cell 4 (fail = 1 / 0): ZeroDivisionError: division")
    assert (outputs.notebooks / "01_first.failed.ipynb").exists()
    assert not (outputs.notebooks / "01_first.ipynb").exists()
    assert not (outputs.notebooks / "02_second.ipynb").exists()

    write_notebook(folder, "01_first", [FIRST], "", "`a.txt`")
    run(folder, outputs)
    assert not (outputs.notebooks / "01_first.failed.ipynb").exists()


@pytest.mark.parametrize("way", ["import sys; sys.exit(0)", "raise SystemExit"])
def test_an_exit_in_a_cell_is_noticed(folder, outputs, way):
    write_notebook(folder, "01_first", [way, FIRST], "", "`a.txt`")
    with pytest.raises(NotebookError, match="01_first ended early: cell 4 of 5"):
        run(folder, outputs)


def test_ipythons_own_exit_is_noticed(folder, outputs):
    # It ends the kernel a moment later, when the next cell is on its way.
    write_notebook(folder, "01_first", ["exit()", "import time; time.sleep(1)", FIRST])
    with pytest.raises(NotebookError, match=r"its kernel died .* called exit\(\)"):
        run(folder, outputs)


def test_a_cell_past_its_time_limit_is_stopped(folder, outputs):
    write_notebook(folder, "01_first", ["import time; time.sleep(60)"], "", "`a.txt`")
    start = time.monotonic()
    with pytest.raises(NotebookError, match=r"cell 4 of 4 .import time.* took longer than 2 s"):
        run(folder, outputs, cell_timeout=2)
    assert time.monotonic() - start < 20


def test_the_death_of_the_kernel_is_reported(folder, outputs):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    write_notebook(folder, "01_first", [code], "", "`a.txt`")
    with pytest.raises(NotebookError, match="its kernel died in cell 4 of 4"):
        run(folder, outputs)


def test_ten_megabytes_of_prints_are_kept_and_cut_aloud(folder, outputs, capsys):
    code = "for number in range(100_000): print(number, 'x' * 100)"
    write_notebook(folder, "01_first", [code], "", "`a.txt`")
    run(folder, outputs, last=1)
    cells = nbformat.read(outputs.notebooks / "01_first.ipynb", as_version=4).cells
    (printed,) = cells[-1].outputs
    assert printed.text.count("\n") == 100_000 and len(printed.text) > 10_000_000
    assert "(98000 more lines: see" in capsys.readouterr().out


def test_a_second_run_leaves_alone_what_is_up_to_date(folder, outputs, capsys):
    run(folder, outputs)
    before = (outputs.notebooks / "01_first.ipynb").stat().st_mtime_ns
    capsys.readouterr()
    run(folder, outputs)
    said = capsys.readouterr().out
    assert "01_first: up to date" in said and "02_second: up to date" in said
    assert (outputs.notebooks / "01_first.ipynb").stat().st_mtime_ns == before
    run(folder, outputs, fresh=True)
    assert (outputs.notebooks / "01_first.ipynb").stat().st_mtime_ns > before


def test_what_has_changed_is_said_and_redone(folder, outputs, capsys):
    def said(**options) -> str:
        capsys.readouterr()
        run(folder, outputs, **options)
        return capsys.readouterr().out

    run(folder, outputs)
    changed = said(values=[("01.seed", "5")])
    assert "01_first: running (seed was 0 and is now 5)" in changed
    assert "02_second: running (a.txt has changed)" in changed
    (outputs.root / "b.txt").write_text("an older one")
    spoilt = said(values=[("01.seed", "5")])
    assert "01_first: up to date" in spoilt
    assert "02_second: running (b.txt is no longer what this notebook wrote)" in spoilt
    write_notebook(folder, "02_second", [SECOND, "1 + 1"], "`a.txt`", "`b.txt`")
    assert "02_second: running (the notebook has changed)" in said(values=[("01.seed", "5")])
    (outputs.root / "run.json").write_text("{spoilt")
    assert "01_first: running\n" in said()


def test_a_failed_step_is_run_again_and_the_one_before_it_is_not(folder, outputs, capsys):
    write_notebook(folder, "02_second", ["1 / 0"], "`a.txt`", "`b.txt`")
    for _ in range(2):
        with pytest.raises(NotebookError):
            run(folder, outputs)
    said = capsys.readouterr().out
    assert said.count("01_first: running") == 1 and said.count("02_second: running") == 2


def test_a_later_start_says_what_is_missing(folder, outputs):
    with pytest.raises(BatchError, match=r"02_second reads a.txt, which is not in .*; --from 1 "):
        run(folder, outputs, first=2)


def test_inputs_older_than_what_they_come_from_are_noticed(folder, outputs, capsys):
    write_notebook(folder, "03_third", ["3"], "`b.txt`", "`c.txt`")
    run(folder, outputs)
    later = time.time() + 5
    os.utime(outputs.root / "a.txt", (later, later))
    run(folder, outputs, first=3)
    assert "Note: a.txt is newer than b.txt, which 02_second makes" in capsys.readouterr().out


def test_read_only_notebooks_can_be_run(folder, outputs):
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    run(folder, outputs)
    assert (outputs.root / "b.txt").exists()
    folder.chmod(0o755)


# A run in a process of its own, to be killed.
RUN = """
import sys
from pathlib import Path
from starwise.batch.execute import Stopped, stopping_on_signals
from starwise.batch.notebooks import find_notebooks
from starwise.batch.series import run_series
from starwise.batch.steps import choose
from starwise.paths import Outputs
notebooks = find_notebooks(Path(sys.argv[1]))
try:
    with stopping_on_signals():
        run_series(notebooks, choose(notebooks), Outputs(sys.argv[2]))
except Stopped as stop:
    sys.exit(128 + stop.signal_number)
"""
SLEEP = """
import subprocess, sys, time, os
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
Path(outputs, "pids.tmp").write_text(f"{os.getpid()} {child.pid}")
Path(outputs, "pids.tmp").rename(Path(outputs, "pids"))
time.sleep(300)
"""


def start_run(folder: Path, outputs: Outputs) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(outputs.root)],
        # A shell that started the tests in the background has had Ctrl-C ignored; we send one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(condition, seconds=30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    # A zombie has ended; it waits for its parent to read its status.
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process_and_no_half_written_file(folder, outputs, number):
    write_notebook(folder, "02_second", [SLEEP], "`a.txt`", "`b.txt`")
    process = start_run(folder, outputs)
    try:
        wait_for((outputs.root / "pids").exists)
        with pytest.raises(AnotherRunError, match="another run is writing to"):
            run(folder, outputs)
        process.send_signal(number)
        status = process.wait(30)
    finally:
        process.kill()
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    for pid in (outputs.root / "pids").read_text().split():
        wait_for(lambda pid=pid: not alive(int(pid)), 10)
    assert [path.name for path in outputs.notebooks.glob("[!.]*")] == ["01_first.ipynb"]

    write_notebook(folder, "02_second", [SECOND], "`a.txt`", "`b.txt`")
    run(folder, outputs)
    assert (outputs.root / "b.txt").read_text() == "0!"
    assert not list(outputs.notebooks.glob(".*"))


@pytest.mark.slow
def test_a_run_killed_at_any_moment_is_completed_by_the_next(folder, outputs):
    for moment in (0.3, 0.8, 1.4, 2.0, 2.6, 3.2, 3.8, 4.4):
        process = start_run(folder, outputs)
        time.sleep(moment)
        process.kill()
        process.wait()
        for path in outputs.notebooks.glob("[!.]*"):
            assert nbformat.read(path, as_version=4).cells
        record = outputs.root / "run.json"
        assert not record.exists() or json.loads(record.read_text())["steps"]
    run(folder, outputs)
    assert (outputs.root / "b.txt").read_text() == "0!"


def test_a_notebook_that_asks_for_input_fails_and_does_not_wait(folder, outputs):
    write_notebook(folder, "01_first", ["input('your name? ')"], "", "`a.txt`")
    with pytest.raises(NotebookError, match="StdinNotImplementedError"):
        run(folder, outputs)


def test_the_parameters_can_be_listed(project, capsys):
    assert command_line(["run", "--list"]) == 0
    said = capsys.readouterr().out
    assert "03_train\n" in said and "learning_rate = " in said


@pytest.mark.parametrize("name", ["a file", "a file/outputs"])
def test_a_file_where_the_outputs_are_to_be_is_said_in_a_sentence(
    monkeypatch, capsys, tmp_path, name
):
    (tmp_path / "a file").write_text("mine")
    monkeypatch.setenv("STARWISE_OUTPUTS", str(tmp_path / name))
    assert command_line(["run"]) == 2
    said = capsys.readouterr().err
    assert f"a file is in the way of the folder {tmp_path / name}; set STARWISE_OUTPUTS" in said
    assert (tmp_path / "a file").read_text() == "mine"


def test_outputs_that_cannot_be_written_are_said_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("STARWISE_OUTPUTS", "/proc/outputs")  # where not even root may write
    assert command_line(["run"]) == 1
    assert "could not go on: [Errno 2] No such file" in capsys.readouterr().err


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_error_in_any_of_the_series_notebooks_stops_the_run_and_is_named(
    project, tmp_path, outputs, number
):
    folder = tmp_path / "series"
    folder.mkdir()
    for path in (project / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        if path.name.startswith(f"0{number}"):
            place = next(
                at
                for at, cell in enumerate(notebook.cells)
                if "parameters" in cell.metadata.get("tags", [])
            )
            broken = nbformat.v4.new_code_cell("raise OSError('the dog ate it')")
            notebook.cells.insert(place + 1, broken)
        nbformat.write(notebook, folder / path.name)
    series = find_notebooks(folder)
    for pattern in series[number - 1].reads:  # what it reads is there, so that the cell is reached
        file = outputs.root / pattern.replace("*", "run")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    name = series[number - 1].name
    with pytest.raises(NotebookError, match=rf"{name} failed in cell \d.*OSError: the dog ate it"):
        run_series(series, choose(series, first=number, last=4), outputs)
    executed = {path.name for path in outputs.notebooks.glob("*.ipynb")}
    assert executed == {f"{name}.failed.ipynb"}, "later steps are not run"
