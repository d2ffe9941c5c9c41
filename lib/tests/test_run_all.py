"""run_all.sh: the environment is made once, completely, by whatever the machine offers.

The script runs for real; pythons, conda and pip are stand-ins that write down how they are called
(the real set-up is what every run of these tests starts with).
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from starwise.paths import project_root

ROOT = project_root()
# All that the script may expect of a machine, besides bash and a Python.
TOOLS = [
    "bash",
    "cat",
    "cksum",
    "date",
    "dirname",
    "env",
    "grep",
    "id",
    "ln",
    "mkdir",
    "readlink",
    "rm",
    "sed",
    "sleep",
    "tail",
    "touch",
    "uname",
]

PYTHON = """\
#!/bin/sh
case "$*" in
"- "*) cat >/dev/null; test -z "$OFFLINE"; exit ;;
"-c import sys; print"*) echo "3.99 of the tests"; exit ;;
"-c "*) test -z "$OLD_PYTHON"; exit ;;
"-m pip --version") test -z "$NO_PIP"; exit ;;
"--version") echo "Python 3.99"; exit ;;
esac
echo "python $*" >>"$CALLS"
case "$*" in
"-m venv"*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-m pip install"*) echo $$ >"$CALLS.pid"; echo "find links: $PIP_FIND_LINKS" >>"$CALLS"
    sleep "${SLEEP:-0}"; echo "pip says why"; test -z "$FAIL" ;;
"-P "*) pwd -P >>"$CALLS" ;;
esac
"""
CONDA = """\
#!/bin/sh
echo "conda $*" >>"$CALLS"
mkdir -p "$4/bin" && cp "$STAND_IN" "$4/bin/python"
test -z "$CONDA_FAILS"
"""


class Machine:
    """A copy of the project on a machine that has nothing but what a test gives it."""

    def __init__(self, folder: Path, project: str) -> None:
        self.project = folder / project
        (self.project / "lib").mkdir(parents=True)
        for name in ("run_all.sh", "environment.yml", "lib/pyproject.toml"):
            shutil.copy(ROOT / name, self.project / name)
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in (*TOOLS, "cp", "sh"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.calls_file = folder / "calls"
        self.install("python3.12", PYTHON)
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()

    def install(self, name: str, script: str) -> None:
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        environment = {
            "PATH": str(self.bin),
            "CALLS": str(self.calls_file),
            "STAND_IN": str(self.bin / "python3.12"),
            "STARWISE_CHROME": "a browser",
            "STARWISE_CHROMEDRIVER": "a driver",
            **variables,
        }
        return subprocess.Popen(
            [str(self.project / "run_all.sh"), *arguments],
            env=environment,
            cwd=self.elsewhere,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, status: int = 0, **variables: str) -> str:
        process = self.start(*arguments, **variables)
        said = "".join(process.communicate(timeout=60))
        assert process.returncode == status, said
        return said

    @property
    def calls(self) -> str:
        return self.calls_file.read_text() if self.calls_file.exists() else ""


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path, "star wise")


def test_help_fits_on_one_screen_and_makes_nothing(machine):
    lines = machine.run("--help").splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 100
    assert not machine.calls and not (machine.project / "outputs").exists()


def test_an_unknown_command_is_refused(machine):
    assert "there is no command 'dashbord'" in machine.run("dashbord", status=2)
    assert not machine.calls


def test_the_first_run_makes_an_environment_and_the_second_starts_at_once(machine):
    said = machine.run("--fresh", "-p", "03.epochs", "2")
    environment = machine.project / ".venv"
    assert f"Making {environment} with Python 3.99 ..." in said
    assert f"python -m venv --clear {environment}\n" in machine.calls
    assert f"--editable {machine.project}/lib[test]\n" in machine.calls
    # It is run from another folder, with its arguments as they came.
    end = f"python -P -m starwise run --fresh -p 03.epochs 2\n{machine.elsewhere}\n"
    assert machine.calls.endswith(end)

    machine.calls_file.unlink()
    assert machine.run("dashboard", "--port", "80") == ""
    assert machine.calls == f"python -P -m starwise dashboard --port 80\n{machine.elsewhere}\n"


def test_changed_dependencies_are_installed(machine):
    machine.run()
    machine.calls_file.unlink()
    with open(machine.project / "lib/pyproject.toml", "a") as file:
        file.write("# one more\n")
    machine.run()
    assert "-m pip install" in machine.calls and "-m venv" not in machine.calls


def test_a_failed_set_up_shows_the_log_and_is_begun_anew(machine):
    said = machine.run(FAIL="yes", status=1)
    assert "pip says why" in said and f"{machine.project}/outputs/setup.log" in said
    assert "-m starwise" not in machine.calls
    said = machine.run()
    assert "Removing an environment that was not finished" in said
    assert machine.calls.count("-m venv") == 2 and "-m starwise run" in machine.calls


def test_a_killed_set_up_is_begun_anew(machine):
    process = machine.start(SLEEP="30")
    _wait_for(lambda: "pip install" in machine.calls)
    process.kill()
    process.wait()
    # Its pip ends as well: two of them in one environment would spoil it.
    _wait_for(lambda: not _alive(int(machine.calls_file.with_suffix(".pid").read_text())))
    machine.run()
    assert machine.calls.count("-m venv") == 2 and "-m starwise run" in machine.calls


def test_two_set_ups_at_once_wait_for_each_other(machine):
    both = [machine.start(SLEEP="2") for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert machine.calls.count("-m pip install") == 1
    assert sum("Another set-up is at work here" in words for words in said) == 1
    assert machine.calls.count("-m starwise run") == 2


def test_a_moved_project_gets_a_new_environment(machine):
    machine.run()
    moved = machine.project.rename(machine.project.parent / "moved")
    machine.project = moved
    assert "made elsewhere" in machine.run()


def test_conda_is_taken_where_there_is_one(tmp_path):
    machine = Machine(tmp_path, "starwise")
    machine.install("conda", CONDA)
    prefix, file = machine.project / ".conda", machine.project / "environment.yml"
    machine.run()
    assert f"conda env create --prefix {prefix} --file {file}\n" in machine.calls
    assert "venv" not in machine.calls and "-m starwise run" in machine.calls


def test_a_killed_conda_set_up_is_begun_anew(tmp_path):
    machine = Machine(tmp_path, "starwise")
    machine.install("conda", CONDA)
    machine.run(CONDA_FAILS="yes", status=1)
    assert "Removing an environment that was not finished" in machine.run()
    assert machine.calls.count("conda env create") == 2 and "-m starwise run" in machine.calls


def test_conda_is_not_taken_where_the_path_has_a_space(machine):
    machine.install("conda", CONDA)
    machine.run()
    assert "-m venv" in machine.calls and "conda env" not in machine.calls


def test_a_named_environment_is_used(machine, tmp_path):
    said = machine.run(STARWISE_ENV=str(tmp_path / "none"), status=1)
    assert "has no bin/python; make it or unset it" in said
    (tmp_path / "mine/bin").mkdir(parents=True)
    shutil.copy(machine.bin / "python3.12", tmp_path / "mine/bin/python")
    machine.run(STARWISE_ENV=str(tmp_path / "mine"))
    assert "-m pip install" in machine.calls and "venv" not in machine.calls


def test_no_python_is_said_in_a_sentence(machine):
    said = machine.run(OLD_PYTHON="yes", status=1)
    assert "this needs Python 3.11 to 3.14 with its venv module; install it" in said


@pytest.mark.parametrize(
    ("system", "card", "offline", "cpu"),
    [
        ("Linux", "no", "", True),
        ("Linux", "yes", "", False),
        ("Linux", "no", "yes", False),
        ("Darwin", "no", "", False),
    ],
)
def test_the_small_torch_is_taken_without_a_graphics_card(machine, system, card, offline, cpu):
    (machine.bin / "uname").unlink()
    machine.install("uname", f"#!/bin/sh\necho {system}\n")
    machine.install("nvidia-smi", f"#!/bin/sh\ntest {card} = yes\n")
    machine.run(OFFLINE=offline, STARWISE_CPU_WHEELS="https://wheels.example/torch/")
    assert ("find links:  https://wheels.example/torch/\n" in machine.calls) == cpu


def test_a_missing_browser_is_said(machine):
    said = machine.run(STARWISE_CHROMEDRIVER="")
    assert "No Chromium or Chrome with its chromedriver on the PATH" in said
    assert "-m starwise run" in machine.calls


def test_tests_get_their_arguments(machine):
    machine.run("test", "-k", "batch")
    run = f"python -P -m pytest -c lib/pyproject.toml -k batch lib/tests\n{machine.project}\n"
    assert machine.calls.endswith(run)
    machine.run("test", "lib/pyproject.toml::test_it")
    assert "pyproject.toml lib/pyproject.toml::test_it\n" in machine.calls


def test_the_locked_versions_come_first_where_they_are_asked_for(machine):
    machine.run(STARWISE_LOCKED="yes")
    locks = f"{machine.project}/lib/locks"
    pip = "python -m pip install --no-input --disable-pip-version-check"
    installed = [line for line in machine.calls.splitlines() if line.startswith(pip)]
    hashed = "--no-deps --require-hashes --only-binary :all: --requirement"
    # Nothing but files whose hash is known, and Starwise itself, whose build fetches nothing.
    assert [line.removeprefix(f"{pip} ") for line in installed] == [
        f"{hashed} {locks}/torch.txt",
        f"{hashed} {locks}/test.txt",
        f"--no-deps --no-build-isolation --editable {machine.project}/lib[test]",
    ]


def test_the_locked_torch_is_the_one_for_the_card_where_there_is_a_card(machine):
    machine.install("nvidia-smi", "#!/bin/sh\ntrue\n")
    machine.run(STARWISE_LOCKED="yes")
    assert "locks/cuda.txt" in machine.calls and "locks/torch.txt" not in machine.calls


def test_a_locked_conda_makes_python_alone_and_the_rest_comes_by_hash(tmp_path):
    machine = Machine(tmp_path, "starwise")
    machine.install("conda", CONDA)
    machine.run(STARWISE_LOCKED="yes")
    file = machine.project / "outputs/environment-locked.yml"
    assert f"conda env create --prefix {machine.project}/.conda --file {file}\n" in machine.calls
    made = yaml.safe_load(file.read_text())
    asked = yaml.safe_load((machine.project / "environment.yml").read_text())
    assert made == {**asked, "dependencies": asked["dependencies"][:-1]}
    assert all(isinstance(line, str) for line in made["dependencies"])
    installed = [line for line in machine.calls.splitlines() if "-m pip install" in line]
    assert ["--require-hashes" in line for line in installed] == [True, True, False]
    assert "--no-deps --no-build-isolation --editable" in installed[-1]


def test_a_lock_that_does_not_install_stops_the_set_up(machine):
    assert "Installing the locked versions" in machine.run(STARWISE_LOCKED="y", FAIL="y", status=1)
    assert "--editable" not in machine.calls and "-m starwise" not in machine.calls


def test_the_checkers_of_the_cloud_are_installed_once_and_apart(machine):
    (machine.project / "lib/locks").mkdir()
    (machine.project / "lib/locks/cloud.txt").write_text("cfn-lint==1\n")
    machine.run("test", "--cloud", "-k", "aws")
    assert f"-m venv --clear {machine.project}/.cloud\n" in machine.calls
    locked = f"--only-binary :all: --requirement {machine.project}/lib/locks/cloud.txt\n"
    assert f"--require-hashes {locked}" in machine.calls
    run = "python -P -m pytest -c lib/pyproject.toml -k aws lib/tests\n"
    assert run in machine.calls
    machine.calls_file.unlink()
    machine.run("test", "--cloud", "-k", "aws")
    assert machine.calls == f"{run}{machine.project}\n"
    (machine.project / "lib/locks/cloud.txt").write_text("cfn-lint==2\n")
    machine.run("test", "--cloud")
    assert "-m pip install" in machine.calls


def test_the_locks_are_renewed_and_the_report_made_by_their_commands(machine):
    machine.run("lock", "--upgrade")
    assert f"python -P {machine.project}/lib/locks/renew.py --upgrade\n" in machine.calls
    machine.run("report")
    assert machine.calls.endswith(f"python -P -m starwise report\n{machine.elsewhere}\n")


@pytest.mark.skipif(
    not (Path(sys.prefix) / ".starwise-stamp").exists(),
    reason="these tests run in an environment that run_all.sh did not make",
)
def test_the_real_script_starts_in_seconds_from_anywhere(tmp_path):
    seconds = []
    for _ in range(2):  # the first may find that a dependency has changed since the tests began
        start = time.monotonic()
        run = subprocess.run(
            [str(ROOT / "run_all.sh"), "run", "--list"],
            env={**os.environ, "STARWISE_ENV": sys.prefix},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        seconds.append(time.monotonic() - start)
        assert run.returncode == 0 and "03_train" in run.stdout, run.stderr
    assert seconds[-1] < 15


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    # A zombie has ended; where nobody reaps orphans it stays in the list.
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def _wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
