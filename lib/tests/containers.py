"""Images built by buildah, and run without a container engine, for `./run_all.sh test --images`.

builder = Builder(context)
image = builder.build("api")            # image.seconds, image.size (bytes over its base)
with image.run(log, environment={...}) as process: ...

A run is what compose.yaml asks of an engine: the image's own user, environment and command, no
capability, a root file system that is read-only, and a /tmp in memory. Its network is this
machine's. The images stay in buildah's store, for the next time; `buildah rmi --all` removes them.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

NEEDED = ("buildah", "debootstrap", "unshare", "setpriv", "chroot")
BASE = "localhost/starwise-test-base"
SUITES = ("bookworm", "bookworm-updates")

# Runs in mount and process spaces of its own, of which nothing is left when it is killed.
# ROOT, then "PLACE=FOLDER" to mount, "--", and the command, which begins with its user and folder.
LAUNCH = r"""
set -e
root=$1; shift
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
    mount --bind "${1#*=}" "$root${1%%=*}"; shift
done
shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
user=$1; shift
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set=-all \
    --inh-caps=-all --no-new-privs sh -c 'cd "$1" && shift && exec "$@"' sh "$@"
"""


def run(*command: str | Path, **options) -> str:
    """Run a command and return what it printed; on failure show all that it said."""
    answer = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert answer.returncode == 0, f"{command}\n{answer.stdout[-4000:]}"
    return answer.stdout


def size(root: Path) -> int:
    """Return the bytes of all files below a folder, each once however many names it has."""
    seen = {}
    for folder, _, files in os.walk(root):
        for file in files:
            status = os.lstat(os.path.join(folder, file))
            seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())


@dataclass
class Image:
    name: str
    seconds: float  # that the build took, with what the store had of it already
    size: int  # bytes over the base
    root: Path  # where its files are to be seen
    settings: dict  # user, environment, entry point, command, health check

    @property
    def layers(self) -> list[Path]:
        """Return a folder for each layer: what a later one hides is handed on, too."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        (mount,) = (line for line in mounts if line.split()[4] == str(self.root))
        return [Path(one) for one in re.search(r"lowerdir=([^,\s]+)", mount)[1].split(":")]

    @property
    def health(self) -> list[str]:
        return self.settings["Healthcheck"]["Test"][1:]

    @contextmanager
    def run(
        self,
        log: Path,
        arguments: Sequence[str] | None = None,
        environment: dict[str, str] | None = None,
        mounts: dict[str, Path] | None = None,
    ) -> Iterator[subprocess.Popen]:
        """Run the image's command, or its entry point with other arguments, for a block."""
        given = self.settings["Cmd"] if arguments is None else list(arguments)
        with open(log, "a") as file:
            process = self._start(
                [*self.settings["Entrypoint"], *given], environment or {}, mounts or {}, file
            )
        try:
            yield process
        finally:
            # It is the first of its processes: with it, all others end.
            process.send_signal(signal.SIGKILL)
            process.wait()

    def ask(self, command: Sequence[str], environment: dict[str, str] | None = None) -> int:
        """Run a command as the image's user beside others, and return its exit status."""
        return self._start(list(command), environment or {}, {}, subprocess.DEVNULL).wait(120)

    def _start(self, command, environment, mounts, output) -> subprocess.Popen:
        own = dict(line.split("=", 1) for line in self.settings["Env"])
        words = [f"{name}={value}" for name, value in (own | environment).items()]
        return subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", LAUNCH, "bash",
             str(self.root), *(f"{place}={folder}" for place, folder in mounts.items()), "--",
             self.settings["User"], self.settings["WorkingDir"], "env", "-i", *words, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


class Builder:
    """Builds the targets of one Dockerfile, as this machine's pip reaches its packages."""

    def __init__(self, context: Path, folder: Path) -> None:
        missing = [name for name in NEEDED if not shutil.which(name)]
        if missing or os.geteuid() != 0:
            pytest.skip(f"building images needs root and {', '.join(missing or NEEDED)}")
        self.context, self.folder = context, folder
        self.base = os.environ.get("STARWISE_TEST_BASE") or self._debian()
        self._containers: list[str] = []
        self.base_size = size(self._mounted(self.base))

    def _debian(self) -> str:
        """Return an image with a small Debian and its Python, made here unless it is there."""
        name = f"{BASE}:{SUITES[0]}"
        if run("buildah", "images", "--all", "--format", "{{.Name}}:{{.Tag}}").count(name):
            return name
        container = run("buildah", "from", "scratch").strip()
        root = Path(run("buildah", "mount", container).strip())
        run(
            "debootstrap", "--variant=minbase", "--include=python3,ca-certificates", SUITES[0], root
        )
        # "deb MIRROR SUITE main": the mirror that debootstrap takes by itself
        mirror = (root / "etc/apt/sources.list").read_text().split()[1]
        lines = [f"deb {mirror} {suite} main\n" for suite in SUITES]
        lines.append(f"deb {mirror}-security {SUITES[0]}-security main\n")
        (root / "etc/apt/sources.list").write_text("".join(lines))
        for rest in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / rest)
            (root / rest).mkdir()
        run("buildah", "umount", container)
        run("buildah", "commit", "--quiet", "--rm", container, name)
        return name

    def build(self, target: str) -> Image:
        """Build one target, and show its files."""
        began, name = time.monotonic(), f"localhost/starwise-test-{target}"
        run(
            "buildah", "bud", "--isolation", "chroot", "--format", "docker", "--layers",
            "--target", target, "--tag", name, "--build-arg", f"BASE={self.base}",
            "--build-arg", f"CPU_WHEELS={os.environ.get('STARWISE_CPU_WHEELS', '')}",
            *self._pip(), self.context,
        )  # fmt: skip
        seconds = time.monotonic() - began
        root = self._mounted(name)
        settings = json.loads(run("buildah", "inspect", "--type", "image", name))
        return Image(name, seconds, size(root) - self.base_size, root, settings["Docker"]["config"])

    def _mounted(self, image: str) -> Path:
        container = run("buildah", "from", "--pull-never", image).strip()
        self._containers.append(container)
        root = Path(run("buildah", "mount", container).strip())
        # An engine writes this one.
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        return root

    def _pip(self) -> list[str]:
        """Return what has a build reach packages as pip does here: its settings, and their files.

        They are seen while the build runs, and are not part of the image.
        """
        settings: dict[str, str] = {}
        for line in run("pip", "config", "list").splitlines():
            name, _, value = line.partition("=")
            settings[name.rpartition(".")[2]] = value.strip("'\"")
        file = self.folder / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
        seen = {"/etc/pip.conf": file}
        for value in settings.values():
            for word in value.replace("\\n", " ").split():
                path = Path(urlsplit(word).path if word.startswith("file:") else word)
                if path.is_absolute() and path.exists():
                    # Of `.../simple` the files lie beside it.
                    path = path.parent if path.is_file() or path.name == "simple" else path
                    seen[str(path)] = path
        return [word for place, path in seen.items() for word in ("--volume", f"{path}:{place}:ro")]

    def remove(self) -> None:
        """Unmount what was shown."""
        for container in self._containers:
            run("buildah", "umount", container)
            run("buildah", "rm", container)
