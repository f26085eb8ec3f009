"""Every sample app, unchanged, driven over HTTP as its documentation says."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from localcloud.tests.samples.conftest import Started, ended, eventually

Samples = Callable[..., Started]


@pytest.mark.conforms(
    "Documented shapes",
    "function chaining",
    source="learn:azure/azure-functions/durable/durable-functions-overview#chaining",
)
def test_function_chaining(sample: Samples) -> None:
    chaining = sample("function_chaining")

    cities = chaining.http.post("/api/orchestrators/greet_cities")
    assert cities.status_code == 202
    assert ended(cities.json())["output"] == ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]

    article = chaining.http.post("/api/orchestrators/publish_article", json=" on durability ")
    status = ended(article.json())
    assert status["output"] == f"On Durability\n-- {status['instanceId']}"


@pytest.mark.conforms(
    "Documented shapes",
    "fan out, fan in",
    source="learn:azure/azure-functions/durable/durable-functions-overview#fan-in-out",
)
def test_fan_out_fan_in(sample: Samples, tmp_path: Path) -> None:
    source, backup = tmp_path / "source", tmp_path / "backup"
    (source / "deep").mkdir(parents=True)
    for number in range(20):
        (source / "deep" / f"{number}.txt").write_text("x" * number)
    fan = sample("fan_out_fan_in", BACKUP_FOLDER=str(backup))

    status = ended(fan.http.post("/api/backups", json={"folder": str(source)}).json())

    assert status["output"] == {"files": 20, "bytes": 190}
    copied = backup / status["instanceId"] / "deep"
    assert sorted(path.name for path in copied.iterdir()) == sorted(
        f"{number}.txt" for number in range(20)
    )


@pytest.mark.conforms(
    "Documented shapes",
    "async HTTP APIs",
    source="learn:azure/azure-functions/durable/durable-functions-overview#async-http",
)
def test_async_http_api_tells_where_to_ask_and_how_it_goes(sample: Samples) -> None:
    reports = sample("async_http_api")
    order = {"chapters": ["Beginning", "Middle", "End"], "pause_s": 0.3}

    accepted = reports.http.post("/api/reports", json=order)

    assert accepted.status_code == 202
    assert int(accepted.headers["retry-after"]) > 0
    place = accepted.headers["location"]
    assert place == accepted.json()["statusQueryGetUri"]
    eventually(lambda: httpx.get(place).json()["customStatus"] == "1 of 3 chapters")
    running = httpx.get(place)
    assert running.status_code == 202
    assert running.json()["runtimeStatus"] == "Running"
    report = ended(accepted.json())
    assert report["output"].splitlines()[2] == "End: all is well."
    progress = reports.http.get(f"/api/reports/{report['instanceId']}")
    assert progress.text == "Completed: 3 of 3 chapters"
    assert reports.http.get("/api/reports/unheard-of").status_code == 404


def test_async_http_api_answers_at_once_when_the_work_is_short(sample: Samples) -> None:
    reports = sample("async_http_api")

    short = reports.http.post("/api/reports/now", json={"chapters": ["All"]})
    long = reports.http.post(
        "/api/reports/now?timeout=0.5", json={"chapters": ["All"], "pause_s": 30}
    )

    assert (short.status_code, short.text) == (200, "All: all is well.")
    assert long.status_code == 202
    assert "statusQueryGetUri" in long.json()


@pytest.mark.conforms(
    "Documented shapes",
    "monitor",
    source="learn:azure/azure-functions/durable/durable-functions-overview#monitoring",
)
def test_monitor_ends_when_the_job_is_done(sample: Samples) -> None:
    monitor = sample("monitor")
    watched = monitor.http.post(
        "/api/monitors", json={"job": "nightly", "interval_s": 0.2, "within_s": 60}
    ).json()
    eventually(lambda: httpx.get(watched["statusQueryGetUri"]).json()["runtimeStatus"] == "Running")

    monitor.http.put("/api/jobs/nightly", content="completed")

    outcome = ended(watched)["output"]
    assert outcome["outcome"] == "completed"
    assert outcome["looked"] >= 1


def test_monitor_tells_somebody_when_it_takes_too_long(sample: Samples) -> None:
    monitor = sample("monitor")
    order = {"job": "endless", "interval_s": 0.2, "within_s": 0.6}

    outcome = ended(monitor.http.post("/api/monitors", json=order).json())["output"]

    assert outcome["outcome"] == "endless is late"
    assert 2 <= outcome["looked"] <= 4


@pytest.mark.conforms(
    "Documented shapes",
    "human interaction",
    source="learn:azure/azure-functions/durable/durable-functions-overview#human",
)
def test_human_interaction_through_the_app_and_through_the_link(sample: Samples) -> None:
    approvals = sample("human_interaction")
    holiday, car = (
        approvals.http.post("/api/requests", json={"what": what, "within_s": 60}).json()
        for what in ("holiday", "car")
    )

    said = approvals.http.post(f"/api/requests/{holiday['id']}/answer", json={"approved": True})
    url = car["sendEventPostUri"].replace("{eventName}", "ApprovalEvent")
    raised = httpx.post(url, json={"approved": False})

    assert (said.status_code, raised.status_code) == (202, 202)
    assert ended(holiday)["output"] == "holiday was approved"
    assert ended(car)["output"] == "car was rejected"


def test_human_interaction_escalates_when_nobody_answers(sample: Samples) -> None:
    approvals = sample("human_interaction")

    asked = approvals.http.post("/api/requests", json={"what": "raise", "within_s": 0.5})

    assert ended(asked.json())["output"] == "raise was escalated"


@pytest.mark.conforms(
    "Documented shapes",
    "aggregator (stateful entities)",
    source="learn:azure/azure-functions/durable/durable-functions-overview#aggregator",
)
def test_counter_entity_counts_and_moves_what_it_holds(sample: Samples) -> None:
    counters = sample("counter_entity")

    def value(key: str) -> str:
        return counters.http.get(f"/api/counters/{key}").text

    assert counters.http.get("/api/counters/jar").status_code == 404
    for amount in (5, 7, -2):
        added = counters.http.post("/api/counters/jar/add", json=amount)
        assert added.status_code == 202
    eventually(lambda: value("jar") == "10")

    order = {"source": "jar", "target": "box", "amount": 4}
    moved = ended(counters.http.post("/api/transfers", json=order).json())
    refused = ended(counters.http.post("/api/transfers", json=order | {"amount": 7}).json())

    assert moved["output"] == {"moved": 4, "source": 6}
    assert refused["output"] == {"moved": 0, "source": 6}
    eventually(lambda: (value("jar"), value("box")) == ("6", "4"))
    counters.http.post("/api/counters/jar/delete")
    eventually(lambda: counters.http.get("/api/counters/jar").status_code == 404)


@pytest.mark.conforms(
    "Documented shapes",
    "eternal orchestration",
    source="learn:azure/azure-functions/durable/durable-functions-eternal-orchestrations",
)
def test_eternal_orchestration_goes_on_until_it_is_stopped(sample: Samples) -> None:
    eternal = sample("eternal_orchestration")

    def rounds() -> int:
        return int(eternal.http.get("/api/cleanup/rounds").text)

    links = eternal.http.post("/api/cleanup", json={"round": 1, "rest_s": 0.05}).json()
    eventually(lambda: rounds() >= 3)
    running = httpx.get(links["statusQueryGetUri"]).json()
    assert running["runtimeStatus"] == "Running"
    # The SDK hands over its input as text, and the status shows it as it was handed over.
    assert json.loads(running["input"])["round"] >= 3

    eternal.http.delete("/api/cleanup")

    status = ended(links)
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "asked to stop")
