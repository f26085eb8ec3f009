import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient, QueueServiceClient

from localcloud.cloud import LocalCloud
from localcloud.ports import HOST
from localcloud.storage import azurite as part

PORTS = {"blob": 10000, "queue": 10001, "table": 10002}


def container(cloud: LocalCloud, name: str) -> ContainerClient:
    service = BlobServiceClient.from_connection_string(
        part.connection_string(cloud.ports), retry_total=0
    )
    return service.get_container_client(name)


def queue(cloud: LocalCloud, name: str) -> QueueClient:
    service = QueueServiceClient.from_connection_string(
        part.connection_string(cloud.ports), retry_total=0
    )
    return service.get_queue_client(name)


def contents(client: QueueClient) -> list[str]:
    return sorted(message.content for message in client.receive_messages(messages_per_page=32))


def restart(cloud: LocalCloud) -> None:
    cloud.kill("azurite")
    cloud.start_part("azurite")


def test_what_was_acknowledged_survives_a_kill(azurite: LocalCloud) -> None:
    with container(azurite, "kept") as box, queue(azurite, "kept") as work:
        box.create_container()
        work.create_queue()
        for number in range(20):
            box.upload_blob(f"{number}.txt", f"first {number}")
            work.send_message(str(number))
        box.upload_blob("7.txt", "second", overwrite=True)
        box.delete_blob("8.txt")
        taken = work.receive_message(visibility_timeout=3600)
        assert taken is not None

        restart(azurite)

        expected = {f"{number}.txt": f"first {number}".encode() for number in range(20)}
        expected["7.txt"] = b"second"
        del expected["8.txt"]
        assert {
            name: box.download_blob(name).readall() for name in box.list_blob_names()
        } == expected
        assert contents(work) == sorted(str(n) for n in range(20) if str(n) != taken.content)
        work.delete_message(taken)  # its receipt still counts


def test_a_kill_in_the_middle_of_many_writes_loses_no_acknowledged_one(
    azurite: LocalCloud,
) -> None:
    sent: list[str] = []
    stored: list[str] = []
    enough = threading.Event()
    with container(azurite, "storm") as box, queue(azurite, "storm") as work:
        box.create_container()
        work.create_queue()

        def write(begin: int) -> None:
            try:
                for number in range(begin, begin + 1000):
                    box.upload_blob(f"{number}", str(number))
                    stored.append(str(number))
                    work.send_message(str(number))
                    sent.append(str(number))
                    if len(sent) >= 40:
                        enough.set()
            except AzureError:
                return  # the power is off

        writers = [threading.Thread(target=write, args=(10_000 * i,)) for i in range(4)]
        for writer in writers:
            writer.start()
        assert enough.wait(30)

        azurite.kill("azurite")
        for writer in writers:
            writer.join(60)
        azurite.start_part("azurite")

        assert set(sent) <= set(contents(work))
        there = {name: box.download_blob(name).readall() for name in box.list_blob_names()}
        assert set(stored) <= set(there)
        assert all(content.decode() == name for name, content in there.items())


def test_a_stop_and_a_start_keep_everything(azurite: LocalCloud) -> None:
    with container(azurite, "calm") as box:
        box.create_container()
        box.upload_blob("note", b"\x00\xff" * 1000, metadata={"by": "somebody"})

        azurite.stop_part("azurite")
        azurite.start_part("azurite")

        blob = box.get_blob_client("note")
        assert blob.download_blob().readall() == b"\x00\xff" * 1000
        assert blob.get_blob_properties().metadata == {"by": "somebody"}


def test_what_cannot_be_written_to_disk_is_not_acknowledged(azurite: LocalCloud) -> None:
    draft = azurite.state.path / "azurite" / "__azurite_db_queue__.json~"
    with queue(azurite, "full") as work:
        work.create_queue()
        draft.mkdir()
        try:
            with pytest.raises(AzureError):
                work.send_message("lost")
        finally:
            draft.rmdir()
        work.send_message("kept")

        restart(azurite)

        assert "kept" in contents(work)


def test_another_key_opens_nothing(azurite: LocalCloud) -> None:
    text = part.connection_string(azurite.ports).replace("AccountKey=Eby8", "AccountKey=AAAA")
    with (
        QueueServiceClient.from_connection_string(text) as service,
        pytest.raises(ClientAuthenticationError),
    ):
        list(service.list_queues())


def test_the_connection_string_names_the_ports() -> None:
    text = part.connection_string(PORTS)

    assert "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;" in text
    assert "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;" in text
    assert text.endswith("TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;")


def test_the_part_is_healthy_only_if_all_three_ports_answer(azurite: LocalCloud) -> None:
    part.probe(azurite.ports)

    with (
        silence() as port,
        pytest.raises(OSError, match=f"port {port} answers, but it is not Azurite"),
    ):
        part.probe({**azurite.ports, "table": port})
    with pytest.raises(ConnectionRefusedError):
        part.probe({**azurite.ports, "table": port})


@contextmanager
def silence() -> Iterator[int]:
    """The port of an HTTP server that is another one."""
    with http.server.HTTPServer((HOST, 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port
        thread.join()
