"""What becomes of events that cannot be delivered."""

import json
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from localcloud.cloud import LocalCloud
from localcloud.storage.azurite import connection_string
from localcloud.tests.eventgrid.hook import Hook
from localcloud.tests.eventgrid.rig import (
    DEAD_LETTERS,
    Rig,
    cloud,
    fresh,
    grid_event,
    only,
    webhook,
)

RETRY = "learn:azure/event-grid/delivery-and-retry"


@pytest.mark.conforms(
    "Event Grid",
    "400, 401, 403 and 413 of a webhook are not tried again; the event is dead-lettered",
    source=RETRY,
)
@pytest.mark.parametrize(
    "answered",
    [
        (400, "UndeliverableDueToHttpBadRequest", "BadRequest"),
        (401, "UndeliverableDueToHttpUnauthorized", "Unauthorized"),
        (403, "UndeliverableDueToHttpForbidden", "Forbidden"),
        (413, "UndeliverableDueToHttpRequestEntityTooLarge", "PayloadTooLarge"),
    ],
)
def test_what_cannot_help_is_not_tried_again(
    grid: Rig, hook: Hook, azurite: LocalCloud, answered: tuple[int, str, str]
) -> None:
    status, reason, outcome = answered
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe(
        "clouds", webhook(path.url), filter=only(kind), deadLetterDestination=DEAD_LETTERS
    )
    path.status = status
    event = cloud(kind)

    grid.publish("clouds", event)

    state = grid.settled("clouds", name)
    assert len(path.notifications()) == 1
    assert (state["dead_lettered"], state["dropped"], state["delivered"]) == (1, 0, 0)
    (dead,) = grid.dead("clouds", name)
    facts = (dead["event_id"], dead["reason"], dead["outcome"], dead["attempts"], dead["status"])
    assert facts == (event.id, reason, outcome, 1, "written")
    (letter,) = blob(azurite, dead["blob"])
    assert letter["id"] == event.id
    assert letter["data"] == {"order_id": "o-1"}
    assert letter["deadletterreason"] == reason
    assert letter["lastdeliveryoutcome"] == outcome
    assert letter["deliveryattempts"] == 1
    assert letter["publishtime"] < letter["lastdeliveryattempttime"]
    grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "after maxDeliveryAttempts the event is dead-lettered, in Event Grid's words for its schema",
    source=RETRY,
)
def test_an_event_is_given_up_after_so_many_attempts(
    grid: Rig, hook: Hook, azurite: LocalCloud
) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe(
        "grids",
        webhook(path.url),
        filter=only(kind),
        deadLetterDestination=DEAD_LETTERS,
        retryPolicy={"maxDeliveryAttempts": 3},
    )
    path.status = 404
    event = grid_event(kind)

    grid.publish("grids", event)

    state = grid.settled("grids", name)
    assert len(path.notifications()) == 3
    assert (state["failed_attempts"], state["dead_lettered"]) == (3, 1)
    (dead,) = grid.dead("grids", name)
    container, topic, subscription, *date, _ = dead["blob"].split("/")
    assert (container, topic, subscription) == ("eventgrid-dead-letters", "grids", name)
    assert [part for part in date if part.startswith("0") and part != "0"] == []
    assert len(date) == 4
    (letter,) = blob(azurite, dead["blob"])
    assert letter["eventType"] == kind
    assert letter["deadLetterReason"] == "MaxDeliveryAttemptsExceeded"
    assert letter["lastDeliveryOutcome"] == "NotFound"
    assert letter["deliveryAttempts"] == 3
    grid.drop("grids", name)


@pytest.mark.conforms(
    "Event Grid",
    "without a dead-letter destination an event that is given up is dropped",
    source=RETRY,
)
def test_without_a_destination_for_dead_letters_the_event_is_dropped(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe("clouds", webhook(path.url), filter=only(kind))
    path.status = 400

    grid.publish("clouds", cloud(kind))

    state = grid.settled("clouds", name)
    assert (state["dead_lettered"], state["dropped"]) == (0, 1)
    (dead,) = grid.dead("clouds", name)
    assert (dead["status"], dead["blob"]) == ("dropped", None)
    grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "an event that is older than its time to live is given up at its next attempt",
    source=RETRY,
)
def test_an_event_that_is_too_old_is_given_up(grid: Rig, hook: Hook) -> None:
    """A minute is 60 ms here; the wait after a 408 is 120 ms."""
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe(
        "clouds",
        webhook(path.url),
        filter=only(kind),
        retryPolicy={"eventTimeToLiveInMinutes": 1},
    )
    path.status = 408

    grid.publish("clouds", cloud(kind))

    assert grid.settled("clouds", name)["dropped"] == 1
    (dead,) = grid.dead("clouds", name)
    assert (dead["reason"], dead["outcome"]) == ("TimeToLiveExceeded", "TimedOut")
    assert len(path.notifications()) == 1
    grid.drop("clouds", name)


def blob(azurite: LocalCloud, path: str) -> list[dict[str, Any]]:
    container, _, name = path.partition("/")
    with BlobServiceClient.from_connection_string(connection_string(azurite.ports)) as client:
        text = client.get_blob_client(container, name).download_blob().readall()
    letters: list[dict[str, Any]] = json.loads(text)
    return letters
