"""What may pass between a visitor's browser and kernel: the form's own messages, at once.

Jupyter's websocket carries everything that a kernel can be asked. Voila lets through what widgets
use; this page needs one kind of message from the browser, and few back.
"""

import json
from typing import Any

from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

FROM_BROWSER = "comm_msg"
# To the browser go changes of the form, and news that the kernel has died. What a kernel prints is
# for the operator's log: it may hold tracebacks with paths and values.
TO_BROWSER = {"comm_msg", "status"}
_CHATTER = (b'"execution_state": "busy"', b'"execution_state": "idle"')
REFUSED = 1008  # RFC 6455, section 7.4.1: the message violates the endpoint's policy


class PageWebsocket(VoilaKernelWebsocketHandler):
    """The form's messages in both directions, and nothing else."""

    # Seconds, for tornado, which asks whether the browser is still there. Jupyter would give it
    # milliseconds under these names, and ask by a clock of its own as well.
    ping_interval = ping_timeout = 30

    def send_ping(self) -> None:
        self.ping_callback.stop()

    async def open(self, kernel_id: str) -> None:
        self.set_nodelay(True)
        await super().open(kernel_id)

    def on_message(self, message: str | bytes) -> None:
        if channel_and_kind(message) == ("shell", FROM_BROWSER):
            return super().on_message(message)
        self.log.warning("A message that the page does not send was refused.")
        self.close(REFUSED, "This page takes no such message.")

    def write_message(self, message: Any, binary: bool = False) -> Any:
        if isinstance(message, bytes):
            _, kind = channel_and_kind(message)
            if kind == "status" and any(word in message for word in _CHATTER):
                return None
            if kind not in TO_BROWSER:
                return None
            return super().write_message(message, binary)
        return None  # a browser that does not speak the page's protocol is not the page


def channel_and_kind(message: str | bytes) -> tuple[str, str]:
    """Return channel and type of a message in Jupyter's v1 websocket protocol, or empty ones."""
    try:
        count = int.from_bytes(message[:8], "little")
        if not 4 < count < 64:
            return "", ""
        offsets = [
            int.from_bytes(message[8 * i : 8 * (i + 1)], "little") for i in range(1, count + 1)
        ]
        channel = message[offsets[0] : offsets[1]].decode()
        return channel, str(json.loads(message[offsets[1] : offsets[2]])["msg_type"])
    except (TypeError, ValueError, KeyError):
        return "", ""
