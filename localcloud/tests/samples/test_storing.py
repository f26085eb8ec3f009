"""The sample of storage bindings, run unchanged, with an Azurite of its own."""

import shutil
from pathlib import Path

from localcloud.tests.samples.conftest import SAMPLES, Started, eventually, start


def test_an_order_goes_from_a_queue_to_a_blob_and_outlives_a_stop(folder: Path) -> None:
    app = folder / "queue_to_blob"
    shutil.copytree(SAMPLES / "queue_to_blob", app)
    shutil.copy(app / "local.settings.sample.json", app / "local.settings.json")
    expected = {"of": "receipts/7.txt", "text": "Order 7 for Alice", "bytes": 17}

    def status(started: Started, number: int) -> int:
        return started.http.get(f"/api/journal/{number}").status_code

    with start(app, folder, "--no-reload") as started:
        assert status(started, 7) == 404
        assert started.http.post("/api/orders/7", content=b"Alice").status_code == 202
        eventually(lambda: status(started, 7) == 200, 30)
        assert started.http.get("/api/journal/7").json() == expected
        assert "Starting Azurite" in started.log
        assert "write_receipt: queueTrigger orders" in started.log
        assert "keep_journal: blobTrigger receipts/{number}.txt" in started.log
        assert started.stop() == 0
    with start(app, folder, "--no-reload") as started:
        assert started.http.get("/api/journal/7").json() == expected
        assert started.http.post("/api/orders/8").status_code == 202
        eventually(lambda: status(started, 8) == 200, 30)
        assert started.stop() == 0
        assert started.log.count("Executed 'Functions.keep_journal' (Succeeded") == 2
