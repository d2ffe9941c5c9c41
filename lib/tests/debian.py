"""A Postgres of Debian's, over TCP with a password: what a managed database looks like to us.

It runs as the system's user `postgres` where the tests run as root (Postgres refuses to be root),
on a free port of 127.0.0.1, with nothing but a password to get in.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError


def programs() -> Path:
    """Return the folder of Debian's newest Postgres, or skip the test that asks for it."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(versions, key=lambda initdb: int(initdb.parts[-3]))
    if not found:
        pytest.skip("Debian's Postgres is not here (apt-get install postgresql)")
    return found[-1].parent


class DebianPostgres:
    """One server with data of its own: started, stopped, killed and started again."""

    user, password = "visitor", "s3cret-of-the-tests"

    def __init__(self) -> None:
        self._programs = programs()
        # Not below pytest's own folder, which is private: the server runs as another user.
        self.folder = Path(tempfile.mkdtemp(prefix="starwise-debian-", dir="/tmp"))
        self._owner = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self._owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen | None = None
        word = self.folder / "password"
        word.write_text(self.password)
        word.chmod(0o644)
        self._run("initdb", "-D", "data", "-U", self.user, "--auth=scram-sha-256",
                  "--pwfile=password", "--encoding=UTF8", "--locale=C.UTF-8")  # fmt: skip
        word.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._owner)

    def address(self, database: str = "postgres", password: str | None = None) -> str:
        """Return what DATABASE_URL would be."""
        word = self.password if password is None else password
        return f"postgresql://{self.user}:{word}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database on the running server, and return its address."""
        name = f"test_{secrets.token_hex(6)}"
        engine = self._engine()
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.address(name)

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = subprocess.Popen(
            [
                str(self._programs / "postgres"),
                *("-D", "data", "-p", str(self.port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "log", "ab"),  # noqa: SIM115 - the server's from here on
            **self._owner,
        )
        deadline = time.monotonic() + 60
        engine = self._engine()
        while True:
            try:
                return engine.connect().close()
            except OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            finally:
                engine.dispose()

    def kill(self) -> None:
        """SIGKILL the server and every process of it, as a machine that loses power would."""
        family = psutil.Process(self._process.pid)
        # The first to die is the one that would start the others again.
        for process in [family, *family.children(recursive=True)]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self._process.wait(30)

    def stop(self) -> None:
        """Stop the server, disconnecting whoever is there."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # Postgres's "fast" shutdown
            self._process.wait(30)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _engine(self):
        address = self.address().replace("postgresql://", "postgresql+psycopg2://")
        return create_engine(address, isolation_level="AUTOCOMMIT")
