"""What our servers share: the sockets that they listen on."""

import asyncio
import socket

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
