"""Write the lock files of this folder: every package of an environment, with version and hashes.

    ./run_all.sh lock                 # all of them, from lib/pyproject.toml
    ./run_all.sh lock --upgrade       # also newer versions of what pyproject.toml does not pin

One file for each of `PURPOSES`, for Linux and macOS and every Python we support, made by uv. None
of them holds torch: on Linux the torch of the package registry wants NVIDIA's libraries, several
GB, and the small one lies on PyTorch's own page of CPU wheels. So torch stands apart in `torch.txt`
and is installed beside the rest:

    pip install --no-deps --require-hashes --find-links CPU_WHEELS -r lib/locks/torch.txt
    pip install --no-deps --require-hashes -r lib/locks/batch.txt
    pip install --no-deps ./lib

`torch.txt` names the CPU wheels whose hashes could be read where this last ran: from the page,
which has those of every Python and machine, or from a folder of wheels in STARWISE_CPU_WHEELS.
Hashes of the same version stay in the file. For a Linux that no line of it fits, torch is installed
in the version of pyproject.toml, without a hash. The package registry's own wheels for Linux are no
way out: by their size (some 430 to 530 MB) they are the builds for NVIDIA's cards, on ARM too.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

FOLDER = Path(__file__).resolve().parent
PURPOSES = {
    "api": "For the service.",
    "dashboard": "For the page, which needs no torch.",
    "batch": "For a run of the notebooks 01 to 04 in a container.",
    "test": "For everything and for the tests.",
    "cloud": "For the checkers of `run_all.sh test --cloud`, in an environment of their own.",
}
OLDEST = "3.11"  # the oldest Python that pyproject.toml allows
CPU_WHEELS = "https://download.pytorch.org/whl/cpu/torch/"
FOR_NVIDIA = re.compile(r"(?:nvidia-|cuda-|triton)[\w.-]*")


def main(arguments: Sequence[str] | None = None) -> int:
    """Renew every lock file; the former ones stay when anything fails."""
    parser = argparse.ArgumentParser(prog="run_all.sh lock", description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="newer versions where none is named")
    upgrade = parser.parse_args(arguments).upgrade
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())
    (torch,) = (line for line in project["project"]["dependencies"] if name(line) == "torch")
    # uv's answers, with their pins, hashes and reasons; for torch with all that it would bring.
    with_torch = compiled([torch], [], "")
    unwanted = re.findall(rf"^{FOR_NVIDIA.pattern}(?===)", with_torch, flags=re.MULTILINE)
    locks = {}
    for purpose, about in PURPOSES.items():
        print(f"{purpose}.txt ...", flush=True)
        former = FOLDER / f"{purpose}.txt"
        known = "" if upgrade or not former.exists() else former.read_text()
        text = compiled(requirements(project, purpose), unwanted, known)
        locks[former] = heading(about) + text
    locks[FOLDER / "torch.txt"] = torch_lock(torch, with_torch)
    for path, text in locks.items():
        path.write_text(text)
    print(f"{len(locks)} files are in {FOLDER}.")
    return 0


def requirements(project: dict, purpose: str) -> list[str]:
    """Return the requirements of one purpose: all and the tests', an extra alone, or a group.

    A group of pyproject.toml names packages only; their versions are those of the dependencies.
    """
    dependencies, extras = (
        project["project"][key] for key in ("dependencies", "optional-dependencies")
    )
    if purpose == "test":
        return dependencies + spelt_out(extras[purpose], extras)
    if purpose in extras:
        return spelt_out(extras[purpose], extras)
    pinned = {name(line): line for line in dependencies}
    return [pinned[name(line)] for line in project["dependency-groups"][purpose]]


def spelt_out(lines: list[str], extras: dict[str, list[str]]) -> list[str]:
    """Return requirements with those of our own extras in the place of `starwise[extra]`.

    Nobody but us knows of these, and a package of our name elsewhere would not be ours.
    """
    found = []
    for line in lines:
        ours = re.fullmatch(r"starwise\[([\w, -]+)\]", line)
        if ours:
            for extra in re.split(r", *", ours[1]):
                found += spelt_out(extras[extra], extras)
        else:
            found.append(line)
    return found


def name(requirement: str) -> str:
    """Return the normalised name of the package that a requirement asks for."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def compiled(asked: list[str], unwanted: list[str], known: str) -> str:
    """Return what uv makes of requirements; versions in the lock `known` stay where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        excluded, written = Path(folder) / "excluded.txt", Path(folder) / "lock.txt"
        excluded.write_text("\n".join(unwanted))
        written.write_text(known)
        command = [
            sys.executable,
            "-m",
            "uv",
            "--no-config",
            "pip",
            "compile",
            "-",
            "--quiet",
            "--universal",
        ]
        command += ["--generate-hashes", "--no-header", "--no-emit-index-url"]
        command += ["--python-version", OLDEST, "--output-file", str(written)]
        if unwanted:
            command += ["--excludes", str(excluded), "--no-emit-package", "torch"]
        subprocess.run(command, input="\n".join(asked), text=True, check=True)
        text = written.read_text().replace("via -r -", "via lib/pyproject.toml")
        return text.partition("\n# The following packages were excluded")[0].rstrip() + "\n"


def torch_lock(requirement: str, with_torch: str) -> str:
    """Return the lock of torch: CPU wheels on Linux, the registry's, which are small, elsewhere."""
    version = requirement.partition("==")[2]
    target = FOLDER / "torch.txt"
    former = target.read_text() if target.exists() else ""
    wheels = cpu_wheels(version) | dict(
        re.findall(rf"# (torch-{re.escape(version)}\+\S+\.whl)\n.*?sha256:(\w+)", former, re.DOTALL)
    )
    everywhere = re.search(r"^torch==.*(?:\n +--hash=.*)+", with_torch, flags=re.MULTILINE)[0]
    lines = [everywhere.replace(" \\", " ; sys_platform != 'linux' \\", 1)]
    for wheel, digest in sorted(wheels.items()):
        python, machine = re.search(r"-cp3(\d+)-.*_(x86_64|aarch64)\.whl", wheel).groups()
        lines += [
            f"# {wheel}",
            f"torch=={version}+cpu ; sys_platform == 'linux' and platform_machine == '{machine}' "
            f"and python_version == '3.{python}' \\\n    --hash=sha256:{digest}",
        ]
    return (
        heading(
            "torch without NVIDIA's libraries; where no line fits, its version is fixed, no hash."
        )
        + "\n".join(lines)
        + "\n"
    )


def cpu_wheels(version: str) -> dict[str, str]:
    """Return file names and SHA-256 of the CPU wheels for Linux, as far as they can be seen."""
    source = os.environ.get("STARWISE_CPU_WHEELS", CPU_WHEELS)
    wanted = re.compile(rf"torch-{re.escape(version)}\+cpu-cp3\d+-cp3\d+-manylinux\w+\.whl")
    if Path(source).is_dir():
        files = (path for path in Path(source).iterdir() if wanted.fullmatch(path.name))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    try:
        with urllib.request.urlopen(source, timeout=30) as answer:
            links = re.findall(r'href="([^"#]+)#sha256=(\w{64})"', answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        print(f"The CPU wheels of torch cannot be seen ({error}): the known ones stay.")
        return {}
    files = ((unquote(link).rpartition("/")[2], digest) for link, digest in links)
    return {file: digest for file, digest in files if wanted.fullmatch(file)}


def heading(about: str) -> str:
    """Return the comment at the top of a lock file."""
    return f"# {about}\n# Made by ./run_all.sh lock from lib/pyproject.toml; not to be edited.\n"


if __name__ == "__main__":
    sys.exit(main())
