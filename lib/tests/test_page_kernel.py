"""A visitor's kernel, forked as the page forks it: what it says, and where it prints."""

import json
import subprocess
import sys

import pytest
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

CELL = """
from comm import get_comm_manager
get_comm_manager().register_target("echo", lambda comm, _: comm.on_msg(
    lambda message: comm.send(message["content"]["data"])
))
print("printed for the log", flush=True)
"""


@pytest.fixture
def kernel(tmp_path):
    """Yield a client of a forked kernel, and the file that it prints to."""
    file = str(tmp_path / "kernel.json")
    write_connection_file(file, transport="ipc", ip=str(tmp_path / "k"), key=b"secret")
    log = tmp_path / "log"
    with log.open("wb") as printed:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "starwise.dashboard.forkserver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
        )
    client = BlockingKernelClient(connection_file=file)
    try:
        request = {"argv": ["-f", file], "env": {"HOME": str(tmp_path)}, "cwd": str(tmp_path)}
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        assert int(server.stdout.readline()) > 0
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(60)
        yield client, log
    finally:
        client.stop_channels()
        server.stdin.close()
        server.wait(20)
        server.stdout.close()


def said(client, until):
    """Return what the kernel publishes, up to the message that `until` recognises."""
    found = []
    while not found or not until(found[-1]):
        found.append(client.get_iopub_msg(timeout=30))
    return found


def asked_by(message):
    return message["parent_header"].get("msg_type")


def send(client, kind, content):
    client.session.send(client.shell_channel.socket, kind, content)


def test_a_kernel_answers_its_form_without_a_word_of_being_busy(kernel):
    client, _ = kernel
    client.execute(CELL, reply=True, timeout=60)
    send(client, "comm_open", {"comm_id": "1", "target_name": "echo", "data": {}})
    for number in range(3):
        send(client, "comm_msg", {"comm_id": "1", "data": {"number": number}})
    # Of what it is asked to run it does say so: Voila waits for that, and tells us when to stop.
    client.execute("1 + 1")
    messages = said(client, lambda message: message["msg_type"] == "execute_result")
    form = [message for message in messages if (asked_by(message) or "").startswith("comm")]
    assert [(m["msg_type"], m["content"]["data"]) for m in form] == [
        ("comm_msg", {"number": number}) for number in range(3)
    ]
    states = [m["content"]["execution_state"] for m in messages if m["msg_type"] == "status"]
    assert {"busy", "idle"} <= set(states)


def test_what_a_kernel_prints_is_in_the_log_and_not_published(kernel):
    client, log = kernel
    client.execute(CELL)
    messages = said(
        client,
        lambda message: (
            asked_by(message) == "execute_request"
            and message["content"].get("execution_state") == "idle"
        ),
    )
    assert "stream" not in {message["msg_type"] for message in messages}
    assert "printed for the log" in log.read_text()
