"""Running one notebook: its executed copy appears whole, or as NAME.failed.ipynb with a reason.

with stopping_on_signals():
    execute(step, Outputs.default(), cell_timeout=1800)
"""

import logging
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import nbformat

from starwise.batch.steps import Step
from starwise.paths import Outputs, whole_file

# What a cell prints beyond this stands in the executed notebook only; a log stays readable.
ECHO_LINES = 2000
ECHO_WIDTH = 300


class NotebookError(Exception):
    """A notebook did not run to its end; the message names it, the cell, and what went wrong."""


class Stopped(KeyboardInterrupt):
    """Somebody asked the run to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into `Stopped`, so that the kernel is stopped."""

    def stop(signal_number: int, _frame: Any) -> None:
        raise Stopped(signal_number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.getsignal(number) for number in signals}
    for number, handler in former.items():
        if handler != signal.SIG_IGN:  # nohup asks to outlive the terminal
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class Echo:
    """Passes on what a notebook prints, line by line and indented, to be read while it runs."""

    def __init__(self, stream: TextIO, copy: Path, indent: str = "        ") -> None:
        self._stream, self._copy, self._indent = stream, copy, indent
        self._rest, self._lines = "", 0

    def write(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._show(line)

    def flush(self) -> None:
        """papermill flushes after each message, which may end in the middle of a line."""

    def close(self) -> None:
        if self._rest:
            self._show(self._rest)
        if self._lines > ECHO_LINES:
            self._say(f"({self._lines - ECHO_LINES} more lines: see {self._copy})")

    def _show(self, line: str) -> None:
        self._lines += 1
        if self._lines > ECHO_LINES:
            return
        # A carriage return writes over its line; other control characters could move the cursor.
        line = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line.rstrip("\r").rpartition("\r")[2])
        self._say(line if len(line) <= ECHO_WIDTH else f"{line[:ECHO_WIDTH]} ... (cut)")

    def _say(self, line: str) -> None:
        print(f"{self._indent}{line}", file=self._stream, flush=True)


def execute(step: Step, outputs: Outputs, cell_timeout: int = 0) -> None:
    """Run one notebook in a kernel of its own, with its folder as the working directory.

    `cell_timeout` is in seconds, 0 for none. What the notebook prints goes to stdout as it comes.

    Raises:
        NotebookError: a cell raised, took too long, killed the kernel or ended it early.
    """
    # papermill takes a second to import: a run with nothing to do need not wait for it.
    import papermill

    from starwise.batch.kernel import OwnKernel

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # we say it in our own words
    name = step.notebook.name
    copy = outputs.notebooks / f"{name}.ipynb"
    failed = outputs.notebooks / f"{name}.failed.ipynb"
    parameters = dict(step.parameters)
    if "outputs" in step.notebook.defaults:
        parameters["outputs"] = str(outputs.root)
    echo = Echo(sys.stdout, copy)
    problem: Exception | None = None
    try:
        with whole_file(copy) as temporary:
            try:
                papermill.execute_notebook(
                    # papermill formats its paths: a brace in a folder's name would confuse it.
                    papermill.iorw.load_notebook_node(str(step.notebook.path)),
                    str(temporary).replace("{", "{{").replace("}", "}}"),
                    parameters,
                    cwd=step.notebook.path.parent,
                    progress_bar=False,
                    stdout_file=echo,
                    stderr_file=echo,
                    start_timeout=120,
                    execution_timeout=cell_timeout or None,
                    coalesce_streams=True,
                    kernel_manager_class=OwnKernel,
                    # All cells are done, or somebody waits for it to stop: no need to ask first.
                    shutdown_kernel="immediate",
                )
            except Exception as error:
                problem = error
            finally:
                echo.close()
            if isinstance(problem, OSError) and not isinstance(problem, TimeoutError):
                raise problem  # the disk is full, or not ours to write to: no copy can be kept
            reason = _reason(temporary, problem, cell_timeout)
            if reason:
                with whole_file(failed) as kept:
                    kept.write_bytes(temporary.read_bytes())
                raise NotebookError(f"{name} {reason}\nAs far as it came: {failed}")
    except NotebookError as failure:
        raise failure from problem
    failed.unlink(missing_ok=True)


def _reason(executed: Path, problem: Exception | None, cell_timeout: int) -> str:
    """Say in words why a notebook did not run to its end, or return "" if it did."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError, strip_color

    if isinstance(problem, PapermillExecutionError):
        number, source = problem.exec_count, problem.source
        trace = strip_color("\n".join(problem.traceback)).splitlines()[-12:]
        for line in trace[:-1]:
            print(f"      | {line[:ECHO_WIDTH]}", flush=True)
        said = str(problem.evalue).strip().splitlines() or [""]
        more = " ..." if len(said) > 3 else ""
        sentence = f"{problem.ename}: {' '.join(said[:3])}"[:600].removesuffix(": ") + more
        return f"failed in cell {number} ({_first_line(source)}): {sentence}"
    cells = nbformat.read(executed, as_version=4).cells if executed.stat().st_size else []
    # papermill takes sys.exit(0) for success and leaves the rest of the notebook unrun.
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    done = [cell for cell in code if cell.metadata.papermill.get("end_time")]
    if problem is None and len(done) == len(code):
        return ""
    where = f"cell {len(done)} of {len(code)} ({_first_line(done[-1].source)})" if done else "start"
    if problem is None:
        return f"ended early: {where} called exit, so what follows did not run."
    if isinstance(problem, CellTimeoutError) and "execution timed out" in str(problem):
        return (
            f"was stopped: {where} took longer than {cell_timeout} s; "
            "allow more with --cell-timeout."
        )
    if isinstance(problem, DeadKernelError):
        return (
            f"failed: its kernel died in {where}; the machine may be out of memory, "
            "something killed the process, or a cell called exit()."
        )
    return f"failed at {where}: {type(problem).__name__}: {problem}"


def _first_line(source: str) -> str:
    lines = [line for line in source.splitlines() if line.strip() and line.strip()[0] != "#"]
    line = lines[0].strip() if lines else ""
    return line if len(line) <= 60 else f"{line[:57]}..."
