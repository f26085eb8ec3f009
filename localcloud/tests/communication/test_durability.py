import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError

from localcloud.tests.communication.conftest import (
    KEY,
    MODULE,
    NUMBER,
    address,
    email,
    number,
    options,
    send,
    sent_to,
    sms_client,
)
from localcloud.tests.communication.grid import Grid
from localcloud.tests.partners.part import Part, start

WRITERS = 4


@pytest.fixture
def own_grid() -> Iterator[Grid]:
    grid = Grid()
    yield grid
    grid.stop()


def client_of(part: Part) -> EmailClient:
    return EmailClient(part.url, AzureKeyCredential(KEY), retry_total=0)


def finished(part: Part) -> None:
    if part.process.poll() is None:
        part.kill()
    assert part.process.stdout is not None
    part.process.stdout.close()


def test_a_kill_under_load_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path, own_grid: Grid
) -> None:
    part = start(MODULE, tmp_path, *options(own_grid))
    acknowledged: dict[str, str] = {}
    unanswered: dict[str, str] = {}
    enough = threading.Event()

    def write() -> None:
        with client_of(part) as client:
            while True:
                to, operation_id = address(), str(uuid.uuid4())
                try:
                    send(client, email(to), operation_id)
                except AzureError:
                    unanswered[operation_id] = to
                    return
                acknowledged[operation_id] = to
                if len(acknowledged) >= 100:
                    enough.set()

    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    assert enough.wait(30)
    part.kill()
    for writer in writers:
        writer.join(30)
    finished(part)

    again = start(MODULE, tmp_path, *options(own_grid))
    try:
        with client_of(again) as client, httpx.Client(base_url=again.url, timeout=30) as http:
            for operation_id, to in {**acknowledged, **unanswered}.items():
                assert send(client, email(to), operation_id) == operation_id
                assert len(sent_to(http, to)) == 1
        for operation_id in {**acknowledged, **unanswered}:
            ids = {event["id"] for event in own_grid.expect(operation_id, 1)}
            assert len(ids) == 1, "a report may come twice, but it is the same event"
    finally:
        finished(again)


def test_reports_that_were_due_are_published_after_a_kill(tmp_path: Path, own_grid: Grid) -> None:
    own_grid.stop()
    part = start(MODULE, tmp_path, *options(own_grid))
    with client_of(part) as client:
        slow = send(client, email(address("slow")))
        quick = send(client, email(address("bounce")))
    [result] = sms_client(part).send(NUMBER, number(), "x", enable_delivery_report=True)
    part.kill()
    finished(part)
    own_grid.start()
    again = start(MODULE, tmp_path, *options(own_grid))
    try:
        for message_id in (slow, quick, result.message_id):
            assert len(own_grid.expect(message_id, 1)) == 1
    finally:
        assert again.stop() == 0
        finished(again)


def test_old_messages_make_room_for_new_ones(tmp_path: Path, own_grid: Grid) -> None:
    part = start(MODULE, tmp_path, *options(own_grid), "--keep", "10")
    try:
        with client_of(part) as client, httpx.Client(base_url=part.url, timeout=30) as http:
            for _ in range(100):
                last = send(client, email())
            kept = http.get("/messages", params={"limit": 1000}).json()["messages"]
        assert [message["seq"] for message in kept] == list(range(91, 101))
        assert own_grid.expect(last, 1)
    finally:
        finished(part)


def test_it_does_not_start_without_a_key(tmp_path: Path) -> None:
    command = [sys.executable, "-m", MODULE, "--port", "0", "--state", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert ended.returncode == 2
    assert "give --key-file, --key or LOCALCLOUD_COMMUNICATION_KEY" in ended.stderr


def test_a_key_file_is_read(tmp_path: Path, own_grid: Grid) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    part = start(MODULE, tmp_path, "--key-file", str(key_file), "--sender", "info@other.example")
    try:
        with client_of(part) as client:
            assert uuid.UUID(send(client, email(senderAddress="info@other.example")))
        assert own_grid.batches == []
    finally:
        assert part.stop() == 0
        finished(part)


def test_the_help_tells_what_addresses_do() -> None:
    command = [sys.executable, "-m", MODULE, "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "bounce@… or …@bounce.example: Bounced; later mail to the address is Suppressed" in told
    assert "numbers ending in 0001: Failed: unreachable" in told
