"""A headless browser on this machine, opened for a block and gone after it, whatever happens.

with browser() as driver:
    driver.get("http://127.0.0.1:8000/")
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

from starwise.collect.errors import CollectError
from starwise.collect.wire import CAPABILITIES, OPTIONS

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_BROWSER = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
PAGE_SECONDS = 30

QUIET = (
    "--headless=new",
    "--disable-dev-shm-usage",  # containers give little shared memory
    "--blink-settings=imagesEnabled=false",
    # No visits but ours: nothing is looked up, updated or reported in the background.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-pings",
    # No page is kept for going back to: that saves a tenth of the time.
    "--disable-features=BackForwardCache",
)

# Is told the driver's process group, waits until its standard input closes, which is when the
# process that opened the browser is gone, and then ends that group and removes its folder.
GUARD = """
import os, shutil, signal, sys
group = sys.stdin.read()
try:
    if group:
        os.killpg(int(group), signal.SIGKILL)
except ProcessLookupError:
    pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


def find_browser() -> str:
    """Return the path of Chrome or Chromium: $STARWISE_CHROME, else from PATH, else ""."""
    found = os.environ.get("STARWISE_CHROME") or next(filter(None, map(shutil.which, BROWSERS)), "")
    return found or (MAC_BROWSER if Path(MAC_BROWSER).exists() else "")


def find_driver() -> str:
    """Return the path of chromedriver: $STARWISE_CHROMEDRIVER, else from PATH, else ""."""
    return os.environ.get("STARWISE_CHROMEDRIVER") or shutil.which("chromedriver") or ""


@contextmanager
def browser(
    user_agent: str = "", *arguments: str, logged: bool = False
) -> Iterator[webdriver.Chrome]:
    """Open a headless browser and yield its driver; `arguments` are further Chrome switches.

    A `logged` one tells `starwise.collect.wire` what it receives.

    What is not found on this machine, Selenium Manager brings where it can reach the internet.
    Raises CollectError, saying what to install, when no browser starts.
    """
    folder = tempfile.mkdtemp(prefix="starwise-browser-")
    # The driver and the browser form a process group of their own, to be ended together, and keep
    # their files in a folder of their own, to be removed together.
    with _guard(folder) as guard:
        service = _GuardedService(
            guard,
            executable_path=find_driver() or None,
            env={**os.environ, "TMPDIR": folder},
            popen_kw={"start_new_session": True},
        )
        driver = None
        try:
            try:
                driver = webdriver.Chrome(
                    options=_options(user_agent, arguments, logged), service=service
                )
            except (WebDriverException, OSError) as error:
                raise CollectError(
                    "No browser could be started: install Chrome or Chromium with its driver (on "
                    "Debian and Ubuntu: apt install chromium chromium-driver), or name them in "
                    f"STARWISE_CHROME and STARWISE_CHROMEDRIVER ({_first_line(error)})."
                ) from error
            driver.set_page_load_timeout(PAGE_SECONDS)
            yield driver
        finally:
            if driver is not None:
                # A browser that has crashed cannot quit any more.
                with suppress(Exception):
                    driver.quit()
            _end_group(service)
            shutil.rmtree(folder, ignore_errors=True)


def end_browser(driver: webdriver.Chrome) -> None:
    """End a browser at once, from whichever thread; who waits for it gets an error."""
    _end_group(driver.service)


def _options(user_agent: str, arguments: tuple[str, ...], logged: bool) -> webdriver.ChromeOptions:
    options = webdriver.ChromeOptions()
    options.binary_location = find_browser()
    # A page is there when its programs have run; what it still fetches we wait for ourselves.
    options.page_load_strategy = "eager"
    for argument in (*QUIET, *arguments):
        options.add_argument(argument)
    if logged:
        for name, value in CAPABILITIES.items():
            options.set_capability(name, value)
        for name, value in OPTIONS.items():
            options.add_experimental_option(name, value)
    if user_agent:
        options.add_argument(f"--user-agent={user_agent}")
    # Chrome's sandbox refuses to work for root, which is who one is in a container.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    return options


class _GuardedService(Service):
    """A driver that its guard knows from its first moment, long before a browser answers."""

    def __init__(self, guard: subprocess.Popen | None, **options):
        super().__init__(**options)
        self._guard = guard

    def _start_process(self, path: str) -> None:
        super()._start_process(path)
        if self._guard is not None:
            self._guard.stdin.write(b"%d" % self.process.pid)
            self._guard.stdin.flush()


@contextmanager
def _guard(folder: str) -> Iterator[subprocess.Popen | None]:
    """Have the browser ended, and its folder removed, even if this process is killed meanwhile."""
    if not hasattr(os, "killpg"):
        yield None
        return
    command = [sys.executable, "-S", "-E", "-c", GUARD, folder]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield guard
    finally:
        guard.kill()
        guard.wait()
        guard.stdin.close()


def _end_group(service: Service) -> None:
    process = getattr(service, "process", None)
    if process is not None and hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "msg", None) or error).strip().splitlines()[0].rstrip(".")
