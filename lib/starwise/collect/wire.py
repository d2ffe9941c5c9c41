"""What came over a browser's wire: how many bytes, and how the page it shows was answered.

wire = Wire(driver)
wire.open(url)
wire.listen()
wire.answer.status, wire.bytes

Selenium tells neither. Chrome's performance log does: a line for each event of the network, of all
that a page fetches (https://chromedevtools.github.io/devtools-protocol/tot/Network/).
"""

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver import Chrome

from starwise.collect.waits import BUSY, wanted_pause

LOG = "performance"
# What the driver must be told for the log to be there, and to hold no more than we read.
CAPABILITIES = {"goog:loggingPrefs": {LOG: "ALL"}}
OPTIONS = {"perfLoggingPrefs": {"enableNetwork": True, "enablePage": False}}


@dataclass
class Answer:
    """How the page that was opened last was answered, and what it fetched after itself."""

    id: str = ""  # of the page in the log; "" before its answer began
    status: int = 0
    bytes: int = 0  # of the page alone, so far
    whole: bool | None = None  # None while it is under way, False when it broke off
    busy: int = 0  # the status with which the page, or a call of it, was put off
    pause: float = 0.0  # seconds that such an answer asks us to wait (Retry-After)


class Wire:
    """Counts what a browser receives from its beginning on; knows the page it shows."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self.answer = Answer()
        self.bytes = 0  # received so far, headers included, as they were sent (compressed)
        self._host = ""
        self._ended = 0  # bytes of what is over
        self._under_way: dict[str, int] = {}  # what is not: bytes so far, by its id

    def open(self, url: str) -> None:
        """Open a page; what is heard from now on is of this one."""
        self.listen()
        self.answer, self._host = Answer(), urlsplit(url).netloc
        self.driver.get(url)

    def listen(self) -> None:
        """Take in what the log has gained."""
        for line in self.driver.get_log(LOG):
            event = json.loads(line["message"])["message"]
            hear = _HEARD.get(event["method"])
            if hear:
                hear(self, event["params"])
        self.bytes = self._ended + sum(self._under_way.values())

    def is_whole(self, seconds: float) -> bool:
        """Tell whether the page came to its last byte; wait for that if need be."""
        until = time.monotonic() + seconds
        while self.answer.whole is None and time.monotonic() < until:
            self.listen()
            time.sleep(0.01)
        return self.answer.whole is True

    def _asked(self, params: dict[str, Any]) -> None:
        # A redirect is told with the request that it leads to.
        self._ended += int(params.get("redirectResponse", {}).get("encodedDataLength", 0))

    def _answered(self, params: dict[str, Any]) -> None:
        answer, id, response = self.answer, params["requestId"], params["response"]
        self._under_way[id] = int(response["encodedDataLength"])  # its headers
        if params["type"] == "Document" and not answer.id:  # frames within the page come later
            answer.id, answer.status = id, response["status"]
        ours = urlsplit(response["url"]).netloc == self._host and params["loaderId"] == answer.id
        if ours and response["status"] in BUSY:
            answer.busy = answer.busy or response["status"]
            answer.pause = max(answer.pause, wanted_pause(_retry_after(response["headers"])))

    def _came(self, params: dict[str, Any]) -> None:
        # Chrome leaves the bytes on the wire open at times; those of the text are no fewer.
        self._grow(params["requestId"], params["encodedDataLength"] or params["dataLength"])

    def _finished(self, params: dict[str, Any]) -> None:
        self._under_way.pop(params["requestId"], None)
        self._ended += int(params["encodedDataLength"])  # none for what Chrome had already
        self._end(params["requestId"], whole=True)

    def _failed(self, params: dict[str, Any]) -> None:
        self._ended += self._under_way.pop(params["requestId"], 0)
        self._end(params["requestId"], whole=False)

    def _grow(self, id: str, size: int) -> None:
        if id in self._under_way:
            self._under_way[id] += size
            if id == self.answer.id:
                self.answer.bytes += size

    def _end(self, id: str, whole: bool) -> None:
        if id == self.answer.id:
            self.answer.whole = whole


_HEARD = {
    "Network.requestWillBeSent": Wire._asked,
    "Network.responseReceived": Wire._answered,
    "Network.dataReceived": Wire._came,
    "Network.loadingFinished": Wire._finished,
    "Network.loadingFailed": Wire._failed,
}


def _retry_after(headers: dict[str, str]) -> str:
    return next((text for name, text in headers.items() if name.lower() == "retry-after"), "")
