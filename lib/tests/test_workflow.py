""".github/workflows: valid, pinned, with no more rights than it needs, and true to the project."""

import re
import subprocess
import sys

import pytest
import yaml
from checkers import checker
from packaging.requirements import Requirement

from starwise.paths import project_root

WORKFLOWS = sorted((project_root() / ".github/workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def checks(project) -> dict:
    return yaml.safe_load((project / ".github/workflows/checks.yml").read_text())


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_fits_the_published_schema(path, tmp_path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command.append("vendor.github-workflows")
    run = subprocess.run([*command, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    broken = tmp_path / "broken.yml"
    broken.write_text(path.read_text().replace("runs-on:", "runs-in:"))
    assert subprocess.run([*command, broken], capture_output=True).returncode == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_has_nothing_to_say(path, tmp_path):
    run = checker("actionlint", "-no-color", path)
    assert run.returncode == 0, run.stdout
    broken = tmp_path / "broken.yml"
    broken.write_text(path.read_text().replace("${{ matrix.name }}", "${{ matrix.nme }}"))
    assert "nme" in checker("actionlint", "-no-color", broken).stdout


def test_actions_are_pinned_to_a_commit_and_say_which_version_it_is(project):
    for path in WORKFLOWS:
        for line in re.findall(r"uses:.*", path.read_text()):
            assert re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line), line


def test_it_may_only_read_and_leaves_no_token_behind(checks):
    assert checks["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in checks["jobs"].values())
    for step in steps(checks):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
        # What somebody else chose, such as a branch's name, is never part of a command.
        assert "github." not in step.get("run", "")


def test_every_job_ends_by_itself_in_time(checks):
    assert all(job["timeout-minutes"] <= 60 for job in checks["jobs"].values())


def test_tests_run_on_two_systems_and_two_pythons(checks):
    rows = checks["jobs"]["test"]["strategy"]["matrix"]["include"]
    systems = {row["os"].partition("-")[0] for row in rows}
    pythons = {row["python"] for row in rows} - {"conda"}
    assert systems == {"ubuntu", "macos"} and len(pythons) >= 2


# What GitHub's machines of these names are, as a wheel sees them.
MACHINES = {
    "ubuntu-latest": ("linux", "x86_64"),
    "ubuntu-24.04-arm": ("linux", "aarch64"),
    "macos-latest": ("darwin", "arm64"),
}


def test_every_environment_of_the_matrix_has_a_torch_with_a_hash(project, checks):
    conda = yaml.safe_load((project / "environment.yml").read_text())["dependencies"][0]
    lines = (project / "lib/locks/torch.txt").read_text().replace("\\\n", " ").splitlines()
    torches = [line.partition(" --hash=sha256:") for line in lines if line.startswith("torch==")]
    rows = checks["jobs"]["test"]["strategy"]["matrix"]["include"]
    assert len(rows) >= 4
    for row in rows:
        system, machine = MACHINES[row["os"]]
        python = row["python"].replace("conda", conda.partition("=")[2])
        there = {"sys_platform": system, "platform_machine": machine, "python_version": python}
        found = [
            digest for torch, _, digest in torches if Requirement(torch).marker.evaluate(there)
        ]
        assert len(found) == 1 and len(found[0]) == 64, f"{row['name']}: no torch in lib/locks"


def test_everything_that_it_installs_is_installed_by_hash(project, checks):
    # run_all.sh and lib/deploy/install.sh install; what they do locked is tested beside them.
    assert checks["env"]["STARWISE_LOCKED"]
    assert all("env" not in job for job in checks["jobs"].values())
    for step in steps(checks):
        assert not re.search(r"\b(pip3?|conda|apt-get|npm|brew) ", step.get("run", "")), step
    script = (project / "lib/deploy/install.sh").read_text()
    assert "--no-deps --require-hashes --only-binary :all:" in script
    assert re.findall(r"^ *install .*", script, re.MULTILINE) == [
        '    install --no-deps --require-hashes --only-binary :all: "$@"'
    ]
    installs = re.findall(r"^.*\binstall\.sh.*", (project / "Dockerfile").read_text(), re.MULTILINE)
    assert len(installs) == 4 and "pip install" not in (project / "Dockerfile").read_text()


def test_images_stand_on_the_digest_that_is_asked_for_before_and_shown(checks):
    pin, build = (step["run"] for step in checks["jobs"]["images"]["steps"] if "run" in step)
    assert pin.startswith("python3 lib/locks/images.py\n")
    assert 'lib/locks/images.env | tee -a "$GITHUB_ENV"' in pin
    assert '--build-arg "BASE=$STARWISE_BASE"' in build


def test_the_series_runs_every_month_and_its_book_is_kept(checks):
    (moment,) = checks[True]["schedule"]  # YAML reads the key "on" as true
    _, _, day, month, weekday = moment["cron"].split()
    assert (month, weekday) == ("*", "*") and day.isdigit()
    kept = checks["jobs"]["series"]["steps"][-1]
    assert kept["with"]["path"] == "outputs/report/" and kept["if"] == "always()"


def test_what_it_runs_is_there(project, checks):
    said = subprocess.run(
        [project / "run_all.sh", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for step in steps(checks):
        command, *arguments = step.get("run", "true").split()
        if not command.startswith(("./", ".ci/")):
            continue
        assert (project / command).stat().st_mode & 0o100, command
        for argument in arguments:
            if argument.startswith("lib/"):
                assert (project / argument).exists(), argument
            elif argument != "--cloud":
                assert f"./run_all.sh {argument}" in said, argument
    dockerfile = (project / "Dockerfile").read_text()
    for target in checks["jobs"]["images"]["strategy"]["matrix"]["target"]:
        assert re.search(rf"^FROM .* AS {target}$", dockerfile, re.MULTILINE | re.IGNORECASE)
