"""lib/locks: every package of an image and of CI by version and hash, true to pyproject.toml."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import nbformat
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from starwise.paths import project_root

FOLDER = project_root() / "lib" / "locks"
PYPROJECT = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())

_spec = importlib.util.spec_from_file_location("renew", FOLDER / "renew.py")
renew = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(renew)

RENEW = "out of step with lib/pyproject.toml: ./run_all.sh lock renews them"


def locked(purpose: str) -> list[tuple[Requirement, list[str]]]:
    """Return each requirement of a lock file with its hashes."""
    lines = (FOLDER / f"{purpose}.txt").read_text().replace("\\\n", " ").splitlines()
    entries = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [
        (Requirement(entry.partition(" --hash")[0].strip()), re.findall(r"--hash=(\S+)", entry))
        for entry in entries
    ]


def here(purpose: str) -> dict[str, Requirement]:
    """Return what a lock file installs on this machine, by name."""
    return {
        canonicalize_name(requirement.name): requirement
        for requirement, _ in locked(purpose)
        if requirement.marker is None or requirement.marker.evaluate()
    }


@pytest.mark.parametrize("purpose", [*renew.PURPOSES, "torch"])
def test_every_package_has_one_version_and_hashes(purpose):
    entries = locked(purpose)
    assert entries
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)
    names = [requirement.name for requirement, _ in entries]
    if purpose != "torch":
        assert "torch" not in names
        assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.name)
def test_no_lock_names_a_place_to_fetch_from(path):
    assert not re.search(r"://|--(extra-)?index|--find-links|@ ", path.read_text())


@pytest.mark.parametrize("purpose", renew.PURPOSES)
def test_a_lock_holds_what_pyproject_asks_for(purpose):
    found = {canonicalize_name(r.name): str(r.specifier) for r, _ in locked(purpose)}
    for line in renew.requirements(PYPROJECT, purpose):
        asked = Requirement(line)
        name = canonicalize_name(asked.name)
        if name != "torch":
            assert found.get(name) == str(asked.specifier), f"{name} is {RENEW}"


def test_an_extra_of_our_own_is_spelt_out_and_never_looked_up():
    project = {
        "project": {
            "dependencies": ["numpy==1"],
            "optional-dependencies": {
                "test": ["pytest==2", "starwise[cluster, far]"],
                "cluster": ["redis==3"],
                "far": ["starwise[cluster]"],
            },
        }
    }
    asked = renew.requirements(project, "test")
    assert asked == ["numpy==1", "pytest==2", "redis==3", "redis==3"]


def test_torch_is_the_version_of_pyproject_on_every_system():
    (asked,) = (
        line for line in PYPROJECT["project"]["dependencies"] if renew.name(line) == "torch"
    )
    entries = [requirement for requirement, _ in locked("torch")]
    for requirement in entries:
        base = str(requirement.specifier).partition("+")[0]
        assert f"torch{base}" == asked, f"torch is {RENEW}"
    container = {
        **default_environment(),
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "python_version": "3.11",
    }
    (cpu,) = (one for one in entries if one.marker.evaluate(container))
    assert str(cpu.specifier).endswith("+cpu")
    assert [one for one in entries if one.marker.evaluate({**container, "sys_platform": "darwin"})]


def test_where_the_page_of_cpu_wheels_is_seen_each_python_and_machine_gets_its_line(
    tmp_path, monkeypatch
):
    page, digest = tmp_path / "torch.html", "0123456789abcdef" * 4
    names = [
        f"torch-9.9.0%2Bcpu-cp3{python}-cp3{python}-manylinux_2_28_{machine}.whl"
        for python in (11, 13)
        for machine in ("x86_64", "aarch64")
    ]
    others = ["torch-9.9.0%2Bcpu-cp313-cp313t-manylinux_2_28_x86_64.whl", "torch-9.8.0.whl"]
    page.write_text("".join(f'<a href="/whl/{one}#sha256={digest}">' for one in names + others))
    monkeypatch.setenv("STARWISE_CPU_WHEELS", page.as_uri())
    lock = renew.torch_lock("torch==9.9.0", f"torch==9.9.0 \\\n    --hash=sha256:{digest}\n")
    marks = re.findall(r"machine == '(\w+)' and python_version == '(3\.\d+)'", lock)
    assert sorted(marks) == [(m, p) for m in ("aarch64", "x86_64") for p in ("3.11", "3.13")]
    assert lock.count(digest) == 5 and "cp313t" not in lock


@pytest.mark.parametrize("purpose", [one for one in renew.PURPOSES if one != "cloud"])
def test_a_lock_holds_whatever_its_packages_need_in_turn(purpose):
    inside = here(purpose)
    for name in inside:
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of the group, but not installed here
        for line in needs:
            need = Requirement(line)
            if need.marker and not need.marker.evaluate({"extra": ""}):
                continue
            needed = canonicalize_name(need.name)
            if needed == "torch":
                continue
            assert needed in inside, f"{purpose}: {name} needs {needed}, and this is {RENEW}"
            version = str(inside[needed].specifier).removeprefix("==")
            assert need.specifier.contains(version, prereleases=True), (purpose, name, line)


def imports_of_the_notebooks() -> list[str]:
    """Return what the notebooks 01 to 04 import, by the lines of their cells."""
    found = set()
    for path in sorted((project_root() / "notebooks").glob("0[1-4]_*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                found.update(re.findall(r"^(?:import|from) .+?(?=  #|$)", cell.source, re.M))
    return sorted(found)


# What each image starts, imported as a whole.
IMPORTED = {
    "api": [
        "import starwise.cli, starwise.api, starwise.score, starwise.store, uvicorn",
    ],
    "dashboard": [
        "import starwise.cli, starwise.dashboard.voila_app, starwise.dashboard.view",
    ],
    "batch": [
        "import starwise.cli, starwise.batch.series, starwise.batch.execute, papermill",
        # Imported inside functions, so that others go without them.
        "import pyarrow.parquet, scipy.optimize, starwise.language, py3langid",
        "from torch.utils.tensorboard import SummaryWriter",
        *imports_of_the_notebooks(),
    ],
}


@pytest.mark.parametrize("purpose", IMPORTED)
def test_an_image_imports_nothing_that_its_lock_lacks(purpose, tmp_path):
    # A finder in the first place says no to whatever the image would not have.
    inside = [*here(purpose), *([] if purpose == "dashboard" else ["torch"]), "starwise"]
    modules = metadata.packages_distributions()
    allowed = {
        module
        for module, owners in modules.items()
        if any(canonicalize_name(owner) in inside for owner in owners)
    }
    forbidden = sorted(set(modules) - allowed)
    script = (
        "import sys\n"
        f"forbidden = set({forbidden!r})\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in forbidden:\n"
        "            raise ModuleNotFoundError(f'no module {name}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n" + "\n".join(IMPORTED[purpose])
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
