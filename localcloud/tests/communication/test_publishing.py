import re
import uuid

import httpx
import pytest
from azure.communication.email import EmailClient

from localcloud.tests.communication.conftest import address, email, send, sent_to
from localcloud.tests.communication.grid import Grid, until


def test_reports_wait_while_event_grid_is_away(
    emails: EmailClient, http: httpx.Client, grid: Grid
) -> None:
    grid.stop()
    try:
        message_id = send(emails, email())
        standing = until(
            lambda: http.get("/overview").json()["reports"],
            lambda reports: bool(reports["waiting"] and reports["last_error"]),
        )
        page = http.get("/").text
    finally:
        grid.start()
    assert standing["last_error"].startswith("ConnectError: ")
    assert re.search(r"\d+ delivery reports? waits? for Event Grid: ConnectError", page)
    assert len(grid.expect(message_id, 1)) == 1
    until(lambda: http.get("/overview").json()["reports"]["waiting"], lambda waiting: waiting == 0)
    assert http.get("/overview").json()["reports"]["last_error"] is None


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_report_is_repeated_until_event_grid_takes_it(
    emails: EmailClient, grid: Grid, status: int
) -> None:
    grid.answers += [status]
    message_id = send(emails, email())
    [event] = grid.expect(message_id, 1)
    refused = [e for batch in grid.refused for e in batch if e["data"]["messageId"] == message_id]
    assert refused == [event], "it is the same event, with the same id"


def test_one_report_that_is_refused_holds_up_no_other(
    emails: EmailClient, http: httpx.Client, grid: Grid
) -> None:
    refused_before = http.get("/overview").json()["reports"]["refused"]
    message_id = grid.unacceptable = str(uuid.uuid4())
    several = {"to": [{"address": address()} for _ in range(3)]}
    send(emails, email(recipients=several), message_id)
    other = send(emails, email())
    assert len(grid.expect(other, 1)) == 1
    until(
        lambda: http.get("/overview").json()["reports"]["refused"],
        lambda refused: refused == refused_before + 3,
    )
    assert grid.about(message_id) == []
    [message] = [m for m in sent_to(http, several["to"][0]["address"]) if m["id"] == message_id]
    page = http.get(message["url"]).text
    assert re.search(r"refused by Event Grid: HTTP 400", page) is not None
