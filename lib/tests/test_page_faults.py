"""What a visitor sees when something breaks: a sentence, and nothing typed is lost.

The letters and numbers in the names of the parameters are those of the project's list of faults.
"""

import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from selenium.webdriver.common.by import By
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClosedError, websocket_connect
from visitors import (
    box,
    brand,
    button,
    dashboard,
    is_open,
    notice,
    resize,
    score,
    shown,
    stars,
    submit,
    tab,
    until,
    visit,
    write,
)

from starwise.service import REVIEW_LIMIT

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def reviews_of(served, words: str) -> list:
    return [row for row in served.rows() if row.review == words]


def where(page, selector: str) -> list[float]:
    """Return upper and lower edge of an element in the window, and the window's height."""
    return page.execute_script(
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return [box.top, box.bottom, innerHeight]",
        selector,
    )


def test_a_database_that_dies_before_a_submit_loses_nothing_and_saves_once(served, page):
    words = "Kind people, though the database was away."
    write(page, words)
    page.find_element(By.CSS_SELECTOR, "[aria-label='2 stars']").click()
    about = brand(page)
    served.kill_postgres()
    try:
        submit(page)
        until(lambda: notice(page).startswith("Not saved."))
        assert "still here" in notice(page)
        assert (box(page).get_attribute("value"), stars(page), brand(page)) == (words, 2, about)
    finally:
        served.start_postgres()
    submit(page)
    until(lambda: notice(page).startswith("Saved."))
    (row,) = reviews_of(served, words)
    assert (row.brand, row.rating) == (about, 2)


@pytest.mark.parametrize(("width", "height"), [(1280, 660), (390, 560)])
def test_what_went_wrong_is_said_in_sight_and_never_over_submit(served, page, width, height):
    resize(page, width, height=height)
    write(page, "The window is low, and the database is away.")
    served.kill_postgres()
    try:
        submit(page)
        until(lambda: notice(page).startswith("Not saved."))
        for place in ("0", "document.body.scrollHeight"):
            page.execute_script(f"scrollTo(0, {place})")
            top, bottom, end = where(page, ".sw-notice")
            assert 0 < top < bottom <= end
            above, below, _ = where(page, ".sw-actions")
            assert 0 < above < below <= top, "the button to try again with stands above it"
        page.execute_script("scrollTo(0, 0)")
        star = "[role=radio][tabindex='0']"
        page.execute_script("document.querySelector(arguments[0]).focus()", star)
        assert where(page, star)[1] <= where(page, ".sw-foot")[0], "nor over what has focus"
    finally:
        served.start_postgres()
    button(page, "Submit").click()
    until(lambda: notice(page).startswith("Saved."))


@pytest.mark.parametrize("later", [0.0, 0.02, 0.1], ids="{} s".format)
def test_saved_is_never_said_of_a_row_that_is_not_there(served, page, later):
    words = f"The database is killed {later} s after the click."
    write(page, words)
    until(lambda: stars(page))
    submit(page)
    time.sleep(later)
    served.kill_postgres()
    try:
        until(lambda: notice(page).startswith(("Saved.", "Not saved.")))
        said = notice(page)
    finally:
        served.start_postgres()
    if said.startswith("Saved."):
        assert len(reviews_of(served, words)) == 1
    else:
        submit(page)
        until(lambda: notice(page).startswith("Saved"))
        assert len(reviews_of(served, words)) == 1


def test_a_page_opened_while_the_database_is_down_works_once_it_is_up(served, window):
    # The kernel that waits for this visitor was made before the database went: its connection
    # must not be stale either.
    until(lambda: served.kernels())
    served.kill_postgres()
    try:
        with tab(window) as page:
            visit(page, served.page)
            write(page, "Opened while the database was down.")
            until(lambda: score(page) >= 0)
            served.start_postgres()
            submit(page)
            until(lambda: notice(page).startswith("Saved."))
    finally:
        served.start_postgres()
    assert len(reviews_of(served, "Opened while the database was down.")) == 1


def test_a_text_that_got_no_score_gets_it_once_the_service_answers_again(served, page):
    service = served.service()
    service.suspend()
    try:
        write(page, "Wonderful shop, very friendly people. I will order again.")
        until(lambda: "No score just now" in shown(page, ".sw-gauge"))
        assert stars(page) == 0 and not button(page, "Submit").is_enabled()
    finally:
        service.resume()
    # Nobody touches the page any more.
    until(lambda: score(page) > 60 and stars(page) >= 4 and button(page, "Submit").is_enabled())


def test_a_review_whose_answer_was_lost_is_saved_once_also_after_a_reload(served, page):
    words = "Sent, reloaded, sent again."
    write(page, words)
    until(lambda: stars(page))
    draft = until(lambda: page.execute_script("return sessionStorage.getItem('starwise-draft')"))
    submit(page)
    until(lambda: notice(page).startswith("Saved."))
    # As if the answer had not come: the page still has its draft.
    page.execute_script("sessionStorage.setItem('starwise-draft', arguments[0])", draft)
    page.refresh()
    is_open(page)
    until(lambda: box(page).get_attribute("value") == words and stars(page))
    submit(page)
    until(lambda: notice(page).startswith("Saved."))
    assert len(reviews_of(served, words)) == 1


def test_a_killed_kernel_is_said_and_the_draft_comes_back_with_the_reload(served, page):
    words = "Half a review, and its kernel dies."
    write(page, words)
    page.find_element(By.CSS_SELECTOR, "[aria-label='4 stars']").click()
    until(lambda: "Your rating: 4 stars" in shown(page, ".sw-stars"))
    about = brand(page)
    kernel = page.find_element(By.ID, "kernel").get_attribute("data-kernel")
    for process in served.kernels():
        if any(kernel in word for word in process.cmdline()) or kernel in _open_files(process):
            process.kill()
    resize(page, 360)
    page.execute_script("scrollTo(0, 0)")
    until(lambda: "disconnected" in notice(page))
    top, bottom, end = where(page, ".sw-notice")
    assert 0 < top < bottom <= end, "in sight, also at the top of a phone's page"
    assert box(page).get_attribute("value") == words and not button(page, "Submit").is_enabled()
    button(page, "Reload the page").click()
    until(lambda: not page.find_elements(By.CSS_SELECTOR, ".sw-notice.sw-failed"))
    is_open(page)
    until(lambda: box(page).get_attribute("value") == words and stars(page) == 4)
    assert brand(page) == about


def _open_files(process) -> str:
    return " ".join(connection.laddr or "" for connection in process.net_connections("unix"))


class Proxy:
    """Stands between browser and page, and can cut the line."""

    def __init__(self, url: str) -> None:
        self.there = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.cut = False
        self.lines: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.cut:
                near.close()
                continue
            far = socket.create_connection(self.there)
            self.lines += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            end.close()

    def hang_up(self) -> None:
        self.cut = True
        for line in self.lines:
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                line.close()


def test_a_lost_connection_is_said_and_mended_with_what_was_typed_meanwhile(served, window):
    proxy = Proxy(served.page)
    with tab(window) as page:
        visit(page, proxy.url)
        write(page, "Terrible. It arrived broken, nobody answers, never again.")
        until(lambda: 0 <= score(page) < 40)
        proxy.hang_up()
        until(lambda: "connection is lost" in notice(page))
        assert not button(page, "Submit").is_enabled()
        write(page, "Wonderful shop, very friendly people, I love it.")
        time.sleep(0.5)
        proxy.cut = False
        until(lambda: notice(page) == "" and score(page) > 60)
        submit(page)
        until(lambda: notice(page).startswith("Saved."))
        assert len(reviews_of(served, "Wonderful shop, very friendly people, I love it.")) == 1
    proxy.listener.close()


# What one visitor does five times over, all by itself: write, choose, submit, go on. Waiting for
# changes of the page and not for a clock, which stands almost still in a tab that nobody looks at.
SESSION = """
    const session = arguments[0], sent = (window.sent = []);
    const $ = (one) => document.querySelector(one);
    const when = (holds) => new Promise((go) => {
      const look = () => holds() && (watch.disconnect(), go());
      const watch = new MutationObserver(look);
      watch.observe(document.body,
        { subtree: true, childList: true, attributes: true, characterData: true });
      look();
    });
    const press = (name) => [...document.querySelectorAll("button")]
      .find((one) => one.textContent === name).click();
    const visit = async () => {
      for (let n = 0; n < 5; n++) {
        const stars = 1 + (session + n) % 5, text = `Session ${session}, review ${n}: lovely.`;
        $("textarea").value = text;
        $("textarea").dispatchEvent(new InputEvent("input", { bubbles: true }));
        $(`[aria-label='${named(stars)}']`).click();
        await when(() => !$(".sw-primary").disabled && $(".sw-chosen"));
        press("Submit");
        await when(() => $(".sw-notice.sw-saved"));
        sent.push([$("h1 em").textContent, text, stars]);
        if (n < 4) {
          press("Review another brand");
          await when(() => $("textarea").value === "" && !$("textarea").readOnly);
        }
      }
    };
    const named = (stars) => (stars === 1 ? "1 star" : `${stars} stars`);
    new BroadcastChannel("start").onmessage = visit;
"""


def test_a_hundred_submits_of_twenty_visitors_at_once_are_a_hundred_rows_of_their_own(
    served, window
):
    before = {row.id for row in served.rows()}
    with tab(window) as page:
        tabs = []
        for session in range(20):
            page.switch_to.new_window("tab")
            tabs.append(page.current_window_handle)
            visit(page, served.page)
            page.execute_script(SESSION, session)
        # Nobody starts before everybody is here.
        page.execute_script("new BroadcastChannel('start').postMessage('go')")
        until(lambda: len(served.rows()) >= len(before) + 100, 90)
        sent = []
        for session, one in enumerate(tabs):
            page.switch_to.window(one)
            until(lambda: page.execute_script("return window.sent.length") == 5)
            own = page.execute_script("return window.sent")
            sent += own
            listed = page.execute_script(
                "return [...document.querySelectorAll('.sw-recent li')]"
                ".map((one) => one.querySelector('p').textContent)"
            )
            assert listed == [f"Session {session}, review {n}: lovely." for n in range(4, -1, -1)]
    rows = [row for row in served.rows() if row.id not in before]
    assert len(rows) == 100
    assert sorted([row.brand, row.review, row.rating] for row in rows) == sorted(sent)
    for row in rows[::10]:
        asked = json.dumps({"review": row.review}).encode()
        header = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{served.api}/api/predict", asked, header)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["sentiment"] == pytest.approx(row.sentiment, abs=1e-5)


STRANGE = {
    "families": "Good 👨‍👩‍👧‍👦 and 😀🏳️‍🌈",
    "right to left": "\u202eשלום\u202c good \u2066x\u2069",
    "combining": "Go\u0301o\u0308d e\u0301\u0327 Z͑ͫ̓ͪ̂ͫ",
    "separators": "good\u2028and\u2029well\u0085 then",
    "escape": "good \x1b[31mred\x1b[0m \x07",
    "many lines": "good" + "\n" * 5_000 + "end",
    "SQL": "'); DROP TABLE reviews;-- %s %(a)s \\ \\' $$ $1 :name good",
    "markup": "<img src=x onerror=\"document.title='pwned'\"></textarea><script>1</script> $x^2$",
}


def test_strange_texts_are_stored_and_shown_as_they_were(served, page):
    for words in STRANGE.values():
        write(page, words)
        until(lambda: stars(page))
        submit(page)
        until(lambda: notice(page).startswith("Saved."))
        sent = "return document.querySelector('.sw-recent p').textContent"
        assert page.execute_script(sent) == words
        assert len(reviews_of(served, words)) == 1
        assert page.title == "Starwise" and not page.find_elements(By.CSS_SELECTOR, "main script")
        button(page, "Review another brand").click()
        until(lambda: box(page).get_attribute("value") == "" and notice(page) == "")
    assert len(page.find_elements(By.CSS_SELECTOR, ".sw-recent li")) == 5


@pytest.mark.parametrize("words", ["good \x00 bad", "good \ud800 bad"], ids=["NUL", "surrogate"])
def test_what_cannot_be_stored_is_refused_in_words(served, page, words):
    before = len(served.rows())
    given = json.dumps(words)
    page.execute_script(
        f"const box = document.querySelector('textarea'); box.value = {given};"
        "box.dispatchEvent(new InputEvent('input', {bubbles: true}))"
    )
    page.find_element(By.CSS_SELECTOR, "[aria-label='3 stars']").click()
    submit(page)
    until(lambda: notice(page).startswith("Not saved."))
    assert "character" in notice(page) and len(served.rows()) == before
    until(lambda: button(page, "Submit").is_enabled())


def test_a_megabyte_is_counted_and_refused_within_moments(served, page):
    page.execute_script(
        "const box = document.querySelector('textarea'); box.focus();"
        "document.execCommand('insertText', false, 'x'.repeat(arguments[0]))",
        1_000_000,
    )
    until(lambda: "too many to save" in shown(page, ".sw-counter"), 5)
    assert "The end was cut off" in shown(page, ".sw-counter")
    assert not button(page, "Submit").is_enabled()
    write(page, "x" * REVIEW_LIMIT)
    until(lambda: score(page) >= 0)


def test_the_last_score_belongs_to_the_final_text_however_fast_it_was_typed(served, page):
    def fresh(words: str) -> int:
        write(page, words)
        until(lambda: score(page) >= 0)
        time.sleep(0.7)
        return score(page)

    final = "Wonderful people and a lovely lamp, thank you!"
    expected = fresh(final)
    page.execute_script(
        """
        const box = document.querySelector("textarea"), final = arguments[0];
        const put = (words) => {
          box.value = words;
          box.dispatchEvent(new InputEvent("input", { bubbles: true }));
        };
        for (let i = 0; i < 120; i++)
          setTimeout(() => put("Terrible and broken. ".slice(0, i)), 16 * i);
        setTimeout(() => put(""), 1950);
        setTimeout(() => put(final), 1960);
        """,
        final,
    )
    time.sleep(2.2)
    until(lambda: score(page) == expected)
    write(page, "")
    until(lambda: score(page) == -1 and stars(page) == 0)
    assert not button(page, "Submit").is_enabled()


def test_without_a_model_the_page_says_so_and_saves_and_a_full_house_is_busy(tmp_path, window):
    outputs = tmp_path / "outputs"
    (outputs / "models").mkdir(parents=True)
    (outputs / "models" / "serving.json").write_text('{"model": "gone"}')
    with dashboard(outputs, STARWISE_VISITORS="2") as served, tab(window) as page:
        visit(page, served.page)
        write(page, "No model today.")
        until(lambda: "No score just now: choose the stars yourself." in shown(page, ".sw-gauge"))
        page.switch_to.new_window("tab")
        visit(page, served.page)

        with pytest.raises(urllib.error.HTTPError) as busy:
            urllib.request.urlopen(served.page, timeout=20)
        assert busy.value.code == 503 and busy.value.headers["Retry-After"]
        assert "Starwise is busy" in busy.value.read().decode()

        page.find_element(By.CSS_SELECTOR, "[aria-label='5 stars']").click()
        write(page, "The others feel nothing of it.")
        submit(page)
        until(lambda: notice(page).startswith("Saved."))
        (row,) = served.rows()
        assert (row.rating, row.sentiment, row.suggested_rating) == (5, None, None)


def v1(kind: str, content: dict, channel: str = "shell") -> bytes:
    """Return a message as Jupyter's websocket protocol packs it."""
    header = {"msg_id": "1", "msg_type": kind, "session": "s", "username": "", "version": "5.3"}
    parts = [channel.encode(), *(json.dumps(part).encode() for part in (header, {}, {}, content))]
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    words = [len(offsets), *offsets]
    return b"".join(word.to_bytes(8, "little") for word in words) + b"".join(parts)


def test_forged_messages_are_refused_at_once(served, page, tmp_path):
    kernel = page.find_element(By.ID, "kernel").get_attribute("data-kernel")
    url = f"{served.page.replace('http', 'ws')}/api/kernels/{kernel}/channels?session_id=x"
    canary = tmp_path / "canary"
    run = {"code": f"open({str(canary)!r}, 'w')", "silent": False}
    forged = [
        v1("execute_request", run),
        v1("execute_request", run, "control"),
        v1("comm_open", {"comm_id": "1", "target_name": "jupyter.widget", "data": {}}),
        v1("shutdown_request", {"restart": False}, "control"),
        json.dumps({"header": {"msg_type": "execute_request"}, "content": run, "channel": "shell"}),
        b"\x00" * 40,
        b"",
        v1("comm_msg", {"data": "x" * 300_000}),
    ]

    async def send(message) -> None:
        protocols = ["v1.kernel.websocket.jupyter.org"]
        line = await websocket_connect(url, subprotocols=protocols)
        try:
            await line.write_message(message, binary=isinstance(message, bytes))
            while await line.read_message() is not None:
                pass
        except WebSocketClosedError:
            pass
        assert line.close_code in (1008, 1009, None)

    for message in forged:
        IOLoop(make_current=False).run_sync(lambda message=message: send(message), timeout=20)
    write(page, "Wonderful shop, very friendly people. I will order again.")
    until(lambda: score(page) > 50)
    assert not canary.exists()


def test_another_sites_page_may_not_speak_to_a_kernel(served, page):
    kernel = page.find_element(By.ID, "kernel").get_attribute("data-kernel")
    address = f"{served.page}/api/kernels/{kernel}/channels".replace("http", "ws", 1)
    request = HTTPRequest(address, headers={"Origin": "https://elsewhere.example"})
    with pytest.raises(HTTPClientError) as refused:
        IOLoop(make_current=False).run_sync(lambda: websocket_connect(request), timeout=20)
    assert refused.value.code == 403
    farewell = urllib.request.Request(f"{served.page}/voila/api/shutdown/{kernel}", data=b"")
    with pytest.raises(urllib.error.HTTPError) as unwanted:
        urllib.request.urlopen(farewell, timeout=20)
    assert unwanted.value.code == 403


def test_nothing_of_a_review_or_a_secret_is_in_the_page_or_its_headers(served):
    with urllib.request.urlopen(served.page, timeout=20) as answer:
        policy = answer.headers["Content-Security-Policy"]
        html = answer.read().decode()
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert not re.search(r"<script>|onload=|/work|/home|/root", html)
