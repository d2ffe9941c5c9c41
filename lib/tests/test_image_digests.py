"""lib/locks/images.py: the digest of a base image as its registry has it, and what stays if not.

The registry is a small one of our own, which asks for a token as the public ones do; who asks it is
the real skopeo of Debian's. Docker is a stand-in that hands out what it is told to.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from compose import read_compose, read_env

INDEX = "application/vnd.oci.image.index.v1+json"


class Registry(BaseHTTPRequestHandler):
    """Answers the first pages of the registries' API; `server.manifests` holds what it has."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        manifest = self.server.manifests.get(path)
        if path == "/token":
            self.reply(200, b'{"token": "a-token"}', "application/json")
        elif self.headers.get("Authorization") != "Bearer a-token":
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="ours"'
            self.reply(401, b"{}", "application/json", {"WWW-Authenticate": realm})
        elif path == "/v2/":
            self.reply(200, b"{}", "application/json")
        elif manifest is None:
            unknown = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
            self.reply(404, unknown, "application/json")
        else:
            digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
            self.reply(200, manifest, INDEX, {"Docker-Content-Digest": digest})

    do_HEAD = do_GET  # noqa: N815

    def reply(self, status: int, body: bytes, kind: str, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments) -> None:
        pass


def index(seed: int) -> bytes:
    """Return the list of an image's machines, indented as some registries have it."""
    one = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{seed:064x}",
        "size": 1000 + seed,
        "platform": {"architecture": "amd64", "os": "linux"},
    }
    return json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]}, indent=3
    ).encode()


def digest(manifest: bytes) -> str:
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


@pytest.fixture
def registry():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.manifests = {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Project:
    """A copy of what images.py reads and writes, with programs of a test's choice."""

    def __init__(self, original: Path, folder: Path) -> None:
        self.root, self.bin = folder / "star wise", folder / "bin"
        (self.root / "lib/locks").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("compose.yaml", "lib/locks/images.py", "lib/locks/images.env"):
            shutil.copy(original / name, self.root / name)
        self.home = folder / "home"
        self.home.mkdir()

    def ask(self, status: int = 0, **variables: str) -> str:
        run = subprocess.run(
            [sys.executable, self.root / "lib/locks/images.py"],
            env={"PATH": str(self.bin), "HOME": str(self.home), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert run.returncode == status, run.stdout
        return run.stdout

    @property
    def text(self) -> str:
        return (self.root / "lib/locks/images.env").read_text()

    @property
    def pins(self) -> dict[str, str]:
        return read_env(self.root / "lib/locks/images.env")


@pytest.fixture
def copy(project, tmp_path) -> Project:
    return Project(project, tmp_path)


@pytest.fixture
def elsewhere(copy, registry) -> dict[str, str]:
    """The two images at our registry, which the real skopeo may speak to without TLS."""
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not here (apt-get install skopeo)")
    (copy.bin / "skopeo").symlink_to(shutil.which("skopeo"))
    host = f"127.0.0.1:{registry.server_port}"
    settings = copy.home / ".config/containers"
    settings.mkdir(parents=True)
    (settings / "registries.conf").write_text(f'[[registry]]\nlocation="{host}"\ninsecure=true\n')
    (settings / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    registry.manifests = {
        "/v2/python/manifests/3.11-slim-bookworm": index(1),
        "/v2/team/postgres/manifests/17": index(2),
    }
    return {
        "STARWISE_BASE": f"{host}/python:3.11-slim-bookworm",
        "STARWISE_POSTGRES_IMAGE": f"{host}/team/postgres:17",
    }


def test_a_registry_is_asked_with_a_token_and_its_digests_are_written(copy, elsewhere):
    said = copy.ask(**elsewhere)
    assert copy.pins == {
        "STARWISE_BASE": f"{elsewhere['STARWISE_BASE']}@{digest(index(1))}",
        "STARWISE_POSTGRES_IMAGE": f"{elsewhere['STARWISE_POSTGRES_IMAGE']}@{digest(index(2))}",
    }
    assert digest(index(1)) in said and digest(index(2)) in said
    assert copy.text.count(f"# Asked of the registry on {date.today()}\n") == 2


def test_a_tag_that_moved_gets_its_new_digest_and_one_that_is_gone_keeps_the_known(
    copy, elsewhere, registry
):
    copy.ask(**elsewhere)
    before = copy.pins
    registry.manifests = {"/v2/python/manifests/3.11-slim-bookworm": index(3)}
    # Set from the file itself, the names have their digests already.
    said = copy.ask(**before)
    assert copy.pins["STARWISE_BASE"] == f"{elsewhere['STARWISE_BASE']}@{digest(index(3))}"
    assert copy.pins["STARWISE_POSTGRES_IMAGE"] == before["STARWISE_POSTGRES_IMAGE"]
    assert "manifest unknown" in said and "the known digest stays" in said


def test_without_an_answer_nothing_changes_and_it_is_said(copy, project):
    said = copy.ask()
    assert said.count("there is neither skopeo nor docker here): the known digest stays") == 2
    assert copy.text == (project / "lib/locks/images.env").read_text()


def test_an_image_without_any_known_digest_is_an_error_and_the_file_stays(copy):
    before = copy.text
    said = copy.ask(status=1, STARWISE_BASE="registry.invalid/python:3.11")
    assert "registry.invalid/python:3.11 could not be asked for" in said
    assert "no digest of it is known" in said and copy.text == before


def test_where_there_is_only_docker_it_is_asked(copy):
    (copy.bin / "docker").write_text(
        '#!/bin/sh\nread -r line <"$0.calls" || :\nprintf "%s\\n" "$*" >>"$0.calls"\n'
        'while IFS= read -r line; do printf "%s\\n" "$line"; done <"$0.answer"\nprintf "}"\n'
    )
    (copy.bin / "docker").chmod(0o755)
    (copy.bin / "docker.calls").touch()
    (copy.bin / "sh").symlink_to("/bin/sh")
    # To the byte: what docker hands out ends without a new line.
    (copy.bin / "docker.answer").write_text('{"schemaVersion": 2\n')
    copy.ask()
    assert copy.pins["STARWISE_BASE"].endswith("@" + digest(b'{"schemaVersion": 2\n}'))
    calls = (copy.bin / "docker.calls").read_text().splitlines()
    assert calls[0] == "buildx imagetools inspect --raw python:3.11-slim-bookworm"
    assert len(calls) == 2 and "postgres:17-bookworm" in calls[1]


def test_what_is_no_manifest_is_not_hashed(copy, project):
    (copy.bin / "docker").write_text("#!/bin/sh\necho sign in first\n")
    (copy.bin / "docker").chmod(0o755)
    said = copy.ask()
    assert "docker: " in said and "the known digest stays" in said
    assert copy.text == (project / "lib/locks/images.env").read_text()


def test_the_file_pins_the_images_that_compose_and_the_dockerfile_name(project):
    pins = read_env(project / "lib/locks/images.env")
    env = {"STARWISE_DB_PASSWORD": "p", "STARWISE_ADMIN_TOKEN": "t"}
    tagged = read_compose(project / "compose.yaml", env)["services"]
    pinned = read_compose(project / "compose.yaml", env | pins)["services"]
    names = {
        "STARWISE_BASE": tagged["api"]["build"]["args"]["BASE"],
        "STARWISE_POSTGRES_IMAGE": tagged["db"]["image"],
    }
    for variable, name in names.items():
        assert re.fullmatch(re.escape(name) + r"@sha256:[0-9a-f]{64}", pins[variable])
    assert pinned["db"]["image"] == pins["STARWISE_POSTGRES_IMAGE"]
    built = [service for service in pinned.values() if "build" in service]
    assert built and all(one["build"]["args"]["BASE"] == pins["STARWISE_BASE"] for one in built)
    assert f"ARG BASE={names['STARWISE_BASE']}\n" in (project / "Dockerfile").read_text()


def test_a_shell_reads_the_file(project):
    run = subprocess.run(
        ["sh", "-euc", '. lib/locks/images.env && printf %s "$STARWISE_BASE"'],
        cwd=project,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == read_env(project / "lib/locks/images.env")["STARWISE_BASE"]
