"""The checkers of lib/deploy/aws and its kin, where `./run_all.sh test --cloud` has put them."""

import json
import subprocess
from pathlib import Path

import pytest

from starwise.paths import project_root

PROGRAMS = project_root() / ".cloud" / "bin"


def checker(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a program of the checkers' environment, or skip the test that asks for it."""
    program = PROGRAMS / name
    if not program.exists():
        pytest.skip(f"{name} is not here: ./run_all.sh test --cloud installs it, apart")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


def answer(script: Path | str, *arguments: str):
    """Run a script with the checkers' Python and return the JSON of its last line."""
    how = ("-c", script) if isinstance(script, str) else (script,)
    run = checker("python", "-W", "ignore", *how, *arguments)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])
