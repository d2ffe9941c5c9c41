"""What our servers share: the sockets that they listen on, the memory that they hold."""

import asyncio
import json
import socket
import subprocess
import sys

import pytest

from starwise.serving import listening_socket


def test_small_answers_leave_at_once():
    # Nagle's algorithm holds a small packet back until the one before it is acknowledged, which
    # the other side may put off for 40 ms: a body waits for the acknowledgement of its headers.
    async def delays() -> bool:
        found = asyncio.get_running_loop().create_future()

        async def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            found.set_result(not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listening_socket("127.0.0.1", 0) as bound:
            async with await asyncio.start_server(met, sock=bound):
                _, writer = await asyncio.open_connection(*bound.getsockname())
                answer = await asyncio.wait_for(found, 10)
                writer.close()
        return answer

    assert not asyncio.run(delays())


GIVING_BACK = """
import json
from starwise.score import Scorer
from starwise.explain import explain
from starwise.serving import give_back_code

def read():
    text = "Lovely people, but the lamp arrived broken, and nobody answers. " * 20
    return repr(scorer.score(text)), repr(explain(scorer, text))

scorer = Scorer.load()
before = read()
print(json.dumps({"kilobytes": give_back_code(), "same": read() == before}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_only_the_start_needed_is_given_back_and_nothing_else():
    # In a process of its own, since a page too many would end it.
    done = subprocess.run(
        [sys.executable, "-P", "-c", GIVING_BACK], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["kilobytes"] > 20_000
