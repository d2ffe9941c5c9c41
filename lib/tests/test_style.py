"""The code is formatted, linted and typed by the settings in pyproject.toml."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(project, command):
    answer = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", str(project / "lib")],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.slow
def test_mypy_has_nothing_to_say(project):
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"],
        cwd=project / "lib",
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
