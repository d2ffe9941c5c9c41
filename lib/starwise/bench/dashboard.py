"""The visitor's page in a real Chromium, beside plain Voila with torch in every visitor's kernel.

Both are served on this machine and opened by one browser, so the browser's own work is part of
every number on both sides. A page is *ready* when its text box is there and its kernel has
answered; a score is *repainted* when the frame that shows it has been drawn. What the browser alone
takes for ten pages is told by a third page: ours, with made-up scores from a timer in the page.

Ten visitors type in two ways. *Each in a rhythm of their own*, pauses between letters of half to
one and a half of the mean, as strangers do; first as soon as ten pages that were opened at the
same moment are ready, of which nobody has written a letter yet, then again. *In step*: all ten at
the same instant, again and again, so that nine letters stand in each one's way; nobody does that,
and it is the worst there is.
(Typists that each keep the same pace and begin when they are told to, a few ms apart, are neither:
how near to each other they happen to begin then decides the result.)
"""

import http.server
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from selenium.webdriver.remote.webdriver import WebDriver

from starwise.bench import Measure
from starwise.collect.browser import browser
from starwise.dashboard.form import script, stylesheet
from starwise.serving import listening_socket

TITLE = "one visitor and ten in Chromium, plain Voila with torch in each kernel -> ours"
VISITORS = 10
PATIENCE = 120  # seconds for a page to get ready
LETTER = 137  # ms between two letters in the mean: 88 words a minute, and no multiple of a frame
# Of ten visitors, one after the other, in the same pages.
IN_STEP = "in step"
WAYS = ("in pages just opened", "each in a rhythm of their own", IN_STEP)
REVIEW = "The lamp is lovely and the people were kind, but it came three weeks late and broken. "
SWITCHES = (  # ten windows, of which none counts as hidden
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--window-size=800,900",
)

RIVAL = """
import ipywidgets as widgets
import torch
from starwise.score import Scorer

torch.set_num_threads(1)
scorer = Scorer.load()
scorer.score("The first text takes longest.")
box, bar, stars = widgets.Textarea(), widgets.FloatProgress(max=1), widgets.HTML()
bar.add_class("bench-score")

def moved(change):
    found = scorer.score(change["new"])
    bar.value = found.sentiment if found else 0
    stars.value = "*" * found.stars if found else ""

box.observe(moved, names="value")
widgets.VBox([box, bar, stars])
"""

# Our form without kernel, service and network: a letter is answered with a made-up score at once.
ALONE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Alone</title>
<style>%s</style>
<body><main><div id="form"></div></main><script type="module">
%s
const state = {
  fixed: { limit: 10000, examples: [], privacy: "" },
  review: "1", reading: null, hint: "", scored: 0,
  brand: { name: "Brightleaf", website: "", label: "", logo: "data:," }, marks: [], current: false,
  stars: { rating: 0, suggested: 0, chosen: false }, phase: "writing", ready: false,
  notice: { kind: "", text: "" }, recent: [],
};
const listeners = {};
render({ el: document.getElementById("form"), model: {
  get: (name) => state[name], off() {}, on: (name, listener) => { listeners[name] = listener; },
  send: ({ kind, text }) => kind === "text" && setTimeout(() => {
    const sentiment = 0.5 + 0.4 * Math.sin(text.length / 7), stars = 1 + Math.floor(5 * sentiment);
    state.reading = { sentiment, label: "average" };
    state.stars = { rating: stars, suggested: stars, chosen: false };
    state.scored += 1;
    listeners.change();
  }, 0),
} });
</script></body></html>"""

# In every page before its own scripts: notes when it is ready, and can type.
PROBE = """
(() => {
  const box = () => document.querySelector("textarea");
  const score = () => document.querySelector(".starwise, .bench-score");
  const watch = new MutationObserver(() => {
    if (!box() || !score() || document.body.classList.contains("sw-waiting")) return;
    watch.disconnect();
    requestAnimationFrame(() => { window.benchReady = Date.now(); });
  });
  watch.observe(document, { childList: true, subtree: true, attributes: true });
  // `at`: when to begin (ms since 1970); `seed`: of a rhythm of one's own, 0: like clockwork.
  window.benchType = (text, letter, at, seed) => {
    const samples = (window.benchSamples = []);
    let began = 0;
    const frame = new MessageChannel();
    frame.port1.onmessage = ({ data }) => samples.push(performance.now() - data);
    new MutationObserver(() => {
      if (!began) return;
      const from = began;
      began = 0;
      requestAnimationFrame(() => frame.port2.postMessage(from));
    }).observe(score(), { attributes: true, subtree: true,
                          attributeFilter: ["style", "data-scored"] });
    window.benchDone = false;
    box().value = "";
    let place = 0, next = at, drawn = seed;
    const pause = () => {
      if (!seed) return letter;
      drawn = (48271 * drawn) % 2147483647; // Park and Miller's generator
      return letter * (0.5 + drawn / 2147483647);
    };
    const type = () => {
      if (place === text.length) {
        setTimeout(() => { window.benchDone = true; }, 500);
        return;
      }
      began = began || performance.now();
      box().value += text[place++];
      box().dispatchEvent(new InputEvent("input", { bubbles: true }));
      next += pause();
      setTimeout(type, next - Date.now());
    };
    if (seed) next += pause(); // strangers do not begin at the same moment either
    setTimeout(type, next - Date.now());
  };
})();
"""


@dataclass
class Site:
    """A page that is served, by a family of processes."""

    url: str
    process: psutil.Process
    kernel: str  # part of the command line that tells a kernel

    def kernels(self) -> list[psutil.Process]:
        family, parents = self.family(), set()
        for child in family:
            with suppress(psutil.Error):  # it has ended meanwhile
                parents.add(child.ppid())
        # The process that forks the kernels looks like them; it is their parent.
        return [child for child in family if child.pid not in parents]

    def family(self) -> list[psutil.Process]:
        return [child for child in self.process.children(True) if self._is_kernel(child)]

    def _is_kernel(self, process: psutil.Process) -> bool:
        try:
            return self.kernel in " ".join(process.cmdline())
        except psutil.Error:
            return False


def measures(seconds: float) -> Iterator[Measure]:
    letters = max(20, int(1000 * seconds / LETTER))
    with _plain_voila() as site:
        rival = _all_of(site, letters, tabs=3)
    with _ours(preheated=0) as site:
        ours = _all_of(site, letters, tabs=20)
        service = next(p for p in site.process.children(True) if "api" in p.cmdline())
        weight = _megabytes([service])
    with _ours(preheated=1) as site, browser("", *SWITCHES) as driver:
        preheated = statistics.median(_open(driver, site.url, 1, pause=2.0) for _ in range(5))

    with _alone() as url, browser("", *SWITCHES) as driver:
        _open(driver, url, VISITORS)
        alone = {way: _ten_typing(driver, letters, way) for way in WAYS}

    def row(name: str, key: str, unit: str, goal: str, digits: int = 1) -> Measure:
        before, after = rival[key], ours[key]
        ratio = f"{before / after:.1f} times" if after else ""
        return Measure(
            f"{name}, {unit}", f"{before:.{digits}f}", f"{after:.{digits}f}", ratio, goal
        )

    yield row("page ready, nothing preheated", "ready", "s", "at most 2.0", 2)
    yield Measure("page ready, preheated, s", "", f"{preheated:.2f}", "", "at most 0.8")
    yield row("ten visitors at once, all ready", "ten", "s", "at most 6")
    yield row("memory a visitor (PSS, ten there)", "memory", "MB", "at most 40", 0)
    yield Measure("memory of the service, MB", "", f"{weight:.0f}", "", "at most 300")
    yield row("keystroke to repaint, one visitor, median", "one_median", "ms", "at most 25")
    yield row("keystroke to repaint, one visitor, p95", "one_p95", "ms", "at most 50")
    for way in WAYS:
        typing = f"keystroke to repaint, ten typing {way}"
        yield row(f"{typing}, median", f"{way} 0", "ms", "at most 40")
        yield row(f"{typing}, p95", f"{way} 1", "ms", "at most 80")
        yield Measure(
            f"of it the browser's own, ten typing {way}, median / p95, ms",
            "",
            " / ".join(f"{number:.1f}" for number in alone[way]),
        )
    yield row("first load", "bytes", "MB", "at most 2.5", 3)
    yield row("first load", "requests", "requests", "at most 40", 0)
    yield row("of them to elsewhere", "elsewhere", "requests", "0", 0)
    yield Measure(
        "kernels left 30 s after their tabs were closed",
        f"{rival['left']} of 3",
        f"{ours['left']} of 20",
        "",
        "0",
    )


def _all_of(site: Site, letters: int, tabs: int) -> dict[str, float]:
    """Return every number of one site."""
    found: dict[str, float] = {}
    with browser("", *SWITCHES) as driver:
        _open(driver, site.url, 1)  # warm: files read once, the server's own imports done
        found |= _first_load(driver, site.url)
        found["ready"] = statistics.median(_open(driver, site.url, 1) for _ in range(5))
        samples = _type(driver, driver.window_handles[-1:], letters)
        found["one_median"], found["one_p95"] = _median_and_p95(samples)
    _wait_for_no_kernel(site, 15)
    with browser("", *SWITCHES) as driver:
        found["ten"] = _open(driver, site.url, VISITORS)
        found["memory"] = _megabytes(site.family()) / VISITORS
        for way in WAYS:
            median, p95 = _ten_typing(driver, letters, way)
            found |= {f"{way} 0": median, f"{way} 1": p95}
    _wait_for_no_kernel(site, 15)
    before = len(site.kernels())
    with browser("", *SWITCHES) as driver:
        for _ in range(tabs):
            _open(driver, site.url, 1, keep=False)
        for handle in driver.window_handles[1:]:
            driver.switch_to.window(handle)
            driver.close()
        driver.switch_to.window(driver.window_handles[0])
        _wait_for_no_kernel(site, 30)
        found["left"] = max(0, len(site.kernels()) - before)
    return found


def _open(driver: WebDriver, url: str, count: int, pause: float = 0.3, keep: bool = True) -> float:
    """Open a page in `count` new windows at the same moment; return seconds until all are ready.

    Windows that were open before are closed when `keep`, so that a later one is measured alone.
    """
    if keep:
        for handle in driver.window_handles[1:]:
            driver.switch_to.window(handle)
            driver.close()
    driver.switch_to.window(driver.window_handles[0])
    before = set(driver.window_handles)
    for _ in range(count):
        driver.switch_to.new_window("window")
        driver.execute_cdp_cmd("Page.enable", {})
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": PROBE})
    new = [handle for handle in driver.window_handles if handle not in before]
    _wait_for_rest()
    start = int(1000 * (time.time() + pause + 0.1 * count))
    for handle in new:
        driver.switch_to.window(handle)
        script = "setTimeout(() => location.assign(arguments[0]), arguments[1] - Date.now())"
        driver.execute_script(
            f"const go = (...arguments) => {script}; go(...arguments)", url, start
        )
    time.sleep(max(0, start / 1000 - time.time()))
    return (max(_ready(driver, handle) for handle in new) - start) / 1000


def _wait_for_rest() -> None:
    """Wait until the browser has made its windows.

    Chromium goes on for half a second of processor a window (its address bar is a page, too), which
    is no visitor's: each of ten has a browser of their own.
    """
    rest = 0.05  # of a processor

    def rests() -> bool:
        before = _browsers_seconds()
        time.sleep(0.5)
        return _browsers_seconds() - before < 0.5 * rest

    _until(rests, PATIENCE)


def _browsers_seconds() -> float:
    """Return the seconds of processor that our browsers have had so far."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            if "chrom" in process.name().lower():
                times = process.cpu_times()
                spent += times.user + times.system
    return spent


def _ready(driver: WebDriver, handle: str) -> float:
    driver.set_page_load_timeout(PATIENCE)  # a page that waits for its server does not answer
    driver.switch_to.window(handle)
    try:
        return _until(lambda: driver.execute_script("return window.benchReady"), PATIENCE)
    except TimeoutError as error:
        seen = "return [document.visibilityState, document.body.className, document.body.innerText]"
        raise TimeoutError(f"{error}; it shows {driver.execute_script(seen)}") from None


def _ten_typing(driver: WebDriver, letters: int, way: str) -> tuple[float, float]:
    """Return median and 95th percentile of ten visitors who type in one of the WAYS."""
    return _median_and_p95(_type(driver, driver.window_handles[1:], letters, way != IN_STEP))


def _type(
    driver: WebDriver, handles: list[str], letters: int, own_rhythm: bool = False
) -> list[float]:
    """Type a review in every window at once; return milliseconds from letter to repaint."""
    text = (REVIEW * (1 + letters // len(REVIEW)))[:letters]
    at = 1000 * (time.time() + 0.3 + 0.05 * len(handles))  # when all have been told
    for number, handle in enumerate(handles, start=1):
        driver.switch_to.window(handle)
        seed = 7919 * number if own_rhythm else 0
        driver.execute_script("window.benchType(...arguments)", text, LETTER, at, seed)
    # Who asks a browser whether it is done takes time from what is measured.
    time.sleep(max(0, at / 1000 + letters * LETTER / 1000 - time.time()))
    samples: list[float] = []
    for handle in handles:
        driver.switch_to.window(handle)
        _until(lambda: driver.execute_script("return window.benchDone"), 120)
        samples += driver.execute_script("return window.benchSamples")
    return samples


def _first_load(driver: WebDriver, url: str) -> dict[str, float]:
    """Return megabytes and requests of a load with an empty cache."""
    with browser("", *SWITCHES) as fresh:
        _open(fresh, url, 1)
        entries = fresh.execute_script(
            "return [...performance.getEntriesByType('navigation'), "
            "...performance.getEntriesByType('resource')].map(e => [e.name, e.transferSize])"
        )
    loaded = [(name, size) for name, size in entries if not name.startswith(("data:", "blob:"))]
    elsewhere = sum(not name.startswith(url.rstrip("/")) for name, _ in loaded)
    size = sum(size for _, size in loaded) / 1e6
    return {"bytes": size, "requests": len(loaded), "elsewhere": elsewhere}


def _median_and_p95(samples: list[float]) -> tuple[float, float]:
    return statistics.median(samples), statistics.quantiles(samples, n=20)[-1]


def _megabytes(processes: list[psutil.Process]) -> float:
    """Return the proportional set size: memory that processes share counts once."""
    return sum(process.memory_full_info().pss for process in processes) / 1e6


def _wait_for_no_kernel(site: Site, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while site.kernels() and time.monotonic() < deadline:
        time.sleep(0.25)


def _until(holds: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise TimeoutError("a page did not get ready in time")


@contextmanager
def _ours(preheated: int) -> Iterator[Site]:
    data = tempfile.mkdtemp(prefix="starwise-bench-", dir="/tmp")
    more = {"STARWISE_DATA": data, "STARWISE_PREHEATED": str(preheated)}
    command = ["-m", "starwise", "dashboard", "--port=0", "--api-port=0"]
    try:
        with _running(command, more, "starwise.dashboard.forkserver") as site:
            yield site
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def _plain_voila() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="starwise-bench-") as folder:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(RIVAL)])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
        path = Path(folder) / "plain.ipynb"
        nbformat.write(notebook, path)
        with listening_socket("127.0.0.1", 0) as bound:
            port = bound.getsockname()[1]
        command = ["-m", "voila", str(path), f"--port={port}", "--no-browser"]
        with _running(command, {}, "ipykernel_launcher") as site:
            yield site


@contextmanager
def _alone() -> Iterator[str]:
    page = (ALONE % (stylesheet(), script())).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def _running(command: list[str], more: dict[str, str], kernel: str) -> Iterator[Site]:
    environment = {**os.environ, **more}
    for name in ("DATABASE_URL", "STARWISE_API_URL", "STARWISE_BASE_URL"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-P", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = ""
        while not url:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{command} did not start")
            said = re.search(r"(?:dashboard is at |^)\s*(http://\S+)", line)
            url = said[1].rstrip("/") + "/" if said else ""
        # Nobody reads on, and a full pipe would stop the server.
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        time.sleep(3)  # what is prepared after the start is not measured
        yield Site(url, psutil.Process(process.pid), kernel)
    finally:
        family = psutil.Process(process.pid).children(True)
        process.terminate()
        process.wait(30)
        for child in family:
            if child.is_running():
                child.kill()
        drain.wait(10)
