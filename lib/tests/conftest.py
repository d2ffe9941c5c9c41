"""What several rooms' tests share: outputs of their own, and the optional folder `../shared`."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from visitors import page, served, window  # noqa: F401 (fixtures for every test of the page)

from starwise.paths import Outputs, project_root


def pytest_addoption(parser):
    parser.addoption(
        "--images", action="store_true", help="also build the container images, and run them"
    )


def pytest_configure(config):
    # A shell that starts the tests with "&" lets them ignore Ctrl-C, and so would every process
    # that a test starts and interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_outputs(tmp_path, monkeypatch) -> Outputs:
    """Every test writes to a folder of its own, never to the project's `outputs/`."""
    monkeypatch.setenv("STARWISE_OUTPUTS", str(tmp_path / "outputs"))
    # A database or a service of the person who runs the tests is none of the tests' business.
    for name in ("DATABASE_URL", "STARWISE_API_URL", "STARWISE_ADMIN_TOKEN", "STARWISE_DATA"):
        monkeypatch.delenv(name, raising=False)
    return Outputs.default()


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root, which holds `notebooks/` and `lib/`."""
    return project_root()


@pytest.fixture(scope="session")
def shared(project) -> Path:
    """Real reviews and saved pages beside the project, on machines that have them."""
    folder = Path(os.environ.get("STARWISE_SHARED", project.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: this test needs the real reviews and pages in it")
    return folder


@pytest.fixture(scope="session")
def postgres():
    """An embedded Postgres for the whole run of the tests, with data of its own."""
    from starwise.postgres import EmbeddedPostgres

    # Not below pytest's own folder: it is private, and for root Postgres runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="starwise-tests-", dir="/tmp"))
    server = EmbeddedPostgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(postgres):
    """An empty reviews table."""
    from sqlalchemy import create_engine, text

    from starwise.store import Store

    address = postgres.start()
    store = Store(address)
    store.check()
    with create_engine(address).begin() as connection:
        connection.execute(text("TRUNCATE reviews"))
    yield store
    store.close()


@pytest.fixture(scope="session")
def debian_server():
    """Debian's Postgres over TCP, once for all tests; those that ask for it skip without one."""
    from debian import DebianPostgres

    server = DebianPostgres()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def debian_postgres(debian_server):
    """Debian's Postgres over TCP with a password, running.

    `debian_postgres.new_database()` is the address of an empty database on it; `kill()` and
    `start()` are there for the tests that ask what a review survives.
    """
    debian_server.start()
    yield debian_server
    debian_server.start()
