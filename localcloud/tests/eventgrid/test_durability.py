"""What was acknowledged outlives the process, and waits go on where they were."""

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import AzureError

from localcloud.tests.eventgrid.hook import Hook, until
from localcloud.tests.eventgrid.rig import KEY, MODULE, Rig, cloud, fresh, topology, webhook
from localcloud.tests.partners.part import Part, start


def declared(url: str, **properties: Any) -> dict[str, Any]:
    return {"name": "sub", "properties": {"destination": webhook(url), **properties}}


class Restartable:
    """An Event Grid that is killed and comes back on the same port."""

    def __init__(self, folder: Path, subscription: dict[str, Any], scale: str = "0.001") -> None:
        file = topology(folder / "topology.json", clouds=[subscription])
        self._options = ["--topology", str(file), "--key", KEY, "--time-scale", scale]
        self._state = folder / "state"
        self.part: Part = start(MODULE, self._state, *self._options)
        self.http = httpx.Client(base_url=self.part.url, timeout=30)
        self.rig = Rig(self.part.url, self.http)

    def kill(self) -> None:
        self.part.kill()
        self._close_pipe()

    def stop(self) -> int:
        code = self.part.stop()
        self._close_pipe()
        return code

    def again(self) -> None:
        self.part = start(MODULE, self._state, *self._options, port=self.part.port)

    def end(self) -> None:
        if self.part.process.poll() is None:
            self.kill()
        self.http.close()

    def _close_pipe(self) -> None:
        assert self.part.process.stdout is not None
        self.part.process.stdout.close()


@pytest.mark.conforms(
    "Event Grid",
    "an event that was acknowledged is delivered at least once",
    source="learn:azure/event-grid/delivery-and-retry",
)
def test_killing_it_in_the_middle_loses_no_acknowledged_event(tmp_path: Path, hook: Hook) -> None:
    path = hook.at(f"/{fresh('kill')}")
    grid = Restartable(tmp_path, declared(path.url))
    acknowledged: list[str] = []

    def publish() -> None:
        with grid.rig.client("clouds") as client:
            while True:
                events = [cloud() for _ in range(5)]
                try:
                    client.send(events)
                except AzureError:
                    return
                acknowledged.extend(event.id for event in events)

    publisher = threading.Thread(target=publish)
    publisher.start()
    until(lambda: len(acknowledged), lambda count: count >= 100)
    grid.kill()
    publisher.join()

    grid.again()

    until(path.ids, lambda ids: set(acknowledged) <= set(ids))
    state = grid.rig.settled("clouds", "sub")
    assert state["provisioning_state"] == "Succeeded"
    assert len([r for r in path.requests if "aeg-event-type" not in r.headers]) == 1
    grid.end()


def test_a_restart_resumes_the_schedule_and_keeps_the_count(tmp_path: Path, hook: Hook) -> None:
    path = hook.at(f"/{fresh('resume')}")
    path.status = 500
    grid = Restartable(tmp_path, declared(path.url), scale="0.1")
    grid.rig.publish("clouds", cloud())
    before = until(
        lambda: grid.rig.state("clouds", "sub"), lambda state: state["failed_attempts"] == 2
    )

    assert grid.stop() == 0
    path.status = 200
    grid.again()

    assert grid.rig.state("clouds", "sub")["next_attempt_at"] in {before["next_attempt_at"], None}
    state = grid.rig.settled("clouds", "sub")
    assert (state["matched"], state["delivered"], state["failed_attempts"]) == (1, 1, 2)
    counts = [request.headers["aeg-delivery-count"] for request in path.notifications()]
    assert counts == ["0", "1", "2"]
    grid.end()


def test_a_delivery_in_flight_ends_before_the_process_does(tmp_path: Path, hook: Hook) -> None:
    path = hook.at(f"/{fresh('drain')}")
    grid = Restartable(tmp_path, declared(path.url))
    path.held.clear()
    grid.rig.publish("clouds", cloud())
    until(path.notifications, bool)

    threading.Timer(0.3, path.held.set).start()
    assert grid.stop() == 0
    grid.again()

    state = grid.rig.state("clouds", "sub")
    assert (state["delivered"], state["pending"]) == (1, 0)
    assert len(path.notifications()) == 1
    grid.end()


def test_a_declared_webhook_that_is_not_up_yet_gets_its_events_later(
    tmp_path: Path, hook: Hook
) -> None:
    path = hook.at(f"/{fresh('later')}")
    subscription = declared(path.url, eventDeliverySchema="CloudEventSchemaV1_0")
    path.handshake = "hesitate"
    path.options_status = 503
    grid = Restartable(tmp_path, subscription)
    until(lambda: grid.rig.state("clouds", "sub")["last_error"], bool)
    event = cloud()
    grid.rig.publish("clouds", event)
    waiting = grid.rig.state("clouds", "sub")
    assert (waiting["provisioning_state"], waiting["pending"]) == ("Creating", 1)
    assert "response code 503" in waiting["last_error"]
    assert path.notifications() == []

    path.handshake, path.options_status = "agree", 200

    until(path.ids, lambda ids: ids == [event.id])
    assert grid.rig.settled("clouds", "sub")["provisioning_state"] == "Succeeded"
    grid.end()


def test_what_the_file_no_longer_declares_is_gone_and_what_the_api_made_stays(
    tmp_path: Path, hook: Hook
) -> None:
    path = hook.at(f"/{fresh('gone')}")
    grid = Restartable(tmp_path, declared(path.url))
    path.handshake = "hesitate"
    made = grid.rig.subscribe("clouds", webhook(path.url))
    path.handshake = "agree"
    assert grid.rig.state("clouds", made)["provisioning_state"] == "AwaitingManualAction"
    keys = json.loads((tmp_path / "state" / "keys.json").read_text("utf-8"))
    assert grid.stop() == 0

    topology(tmp_path / "topology.json", clouds=[])
    grid.again()

    names = [subscription["name"] for subscription in grid.rig.topic("clouds")["subscriptions"]]
    assert names == [made]
    assert json.loads((tmp_path / "state" / "keys.json").read_text("utf-8")) == keys
    assert ((tmp_path / "state" / "keys.json").stat().st_mode & 0o777) == 0o600
    until(
        lambda: grid.rig.state("clouds", made)["provisioning_state"],
        lambda state: state == "Succeeded",
    )
    event = cloud()
    grid.rig.publish("clouds", event)
    until(path.ids, lambda ids: ids == [event.id])
    grid.end()
