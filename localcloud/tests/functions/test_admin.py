"""The admin API: who may ask, and what it tells and does."""

import json
from pathlib import Path

import pytest

from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running

FUNCTIONS = "host:src/WebJobs.Script.WebHost/Controllers/FunctionsController.cs"
BY_HAND = "learn:azure/azure-functions/functions-manually-run-non-http"


def master(host: RunningHost) -> dict[str, str]:
    return {"x-functions-key": host.keys["master"]}


@pytest.mark.conforms(
    "Admin API",
    '"you must provide your app\'s master key in the x-functions-key header of the request"',
    source=BY_HAND,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/functions"),
        ("GET", "/admin/functions/echo"),
        ("POST", "/admin/functions/echo"),
        ("GET", "/admin/functions/guarded/keys"),
        ("GET", "/admin/host/status"),
        ("GET", "/admin/host/keys"),
        ("GET", "/admin/host/nothing"),
    ],
)
def test_only_the_master_key_opens_it(web: RunningHost, method: str, path: str) -> None:
    host_key = web.keys["host"]["default"]
    for key in ("", "wrong", host_key):
        answer = web.http.request(method, path, headers={"x-functions-key": key}, content="{}")
        assert (answer.status_code, answer.content) == (401, b"")

    answer = web.http.request(method, path, headers=master(web), content="{}")
    assert answer.status_code in {200, 400, 404}


@pytest.mark.conforms(
    "Admin API",
    "the ping needs no key",
    source="host:src/WebJobs.Script.WebHost/Controllers/HostController.cs",
)
def test_anybody_may_ping(web: RunningHost) -> None:
    assert web.http.get("/admin/host/ping").status_code == 200
    assert web.http.post("/admin/host/ping").status_code == 200


@pytest.mark.conforms(
    "Admin API",
    "a function is described by these names, its URL in lower case",
    source="host:src/WebJobs.Script.WebHost/Models/FunctionMetadataResponse.cs",
)
def test_a_function_is_described(web: RunningHost) -> None:
    base = f"http://127.0.0.1:{web.port}"
    listed = web.http.get("/admin/functions", headers=master(web)).json()
    one = web.http.get("/admin/functions/GUARDED", headers=master(web)).json()

    assert one in listed
    assert one == {
        "name": "guarded",
        "script_root_path_href": None,
        "script_href": None,
        "config_href": None,
        "test_data_href": None,
        "href": f"{base}/admin/functions/guarded",
        "invoke_url_template": f"{base}/api/function",
        "language": "python",
        "config": {
            "name": "guarded",
            "language": "python",
            "scriptFile": "function_app.py",
            "bindings": [
                {
                    "direction": "IN",
                    "type": "httpTrigger",
                    "name": "req",
                    "authLevel": "FUNCTION",
                    "route": "function",
                },
                {"direction": "OUT", "type": "http", "name": "$return"},
            ],
        },
        "files": None,
        "test_data": None,
        "isDisabled": False,
        "isDirect": False,
        "isProxy": False,
    }
    assert {f["name"] for f in listed if f["isDisabled"]} == {"switched_off"}
    assert web.http.get("/admin/functions/nowhere", headers=master(web)).status_code == 404


@pytest.mark.conforms(
    "Admin API",
    "the status of the host has these names and says Running",
    source="host:src/WebJobs.Script.WebHost/Models/HostStatus.cs",
)
def test_the_status_of_the_host(web: RunningHost) -> None:
    status = web.http.get("/admin/host/status", headers=master(web)).json()

    assert status["state"] == "Running"
    assert status["processUptime"] >= 0
    assert set(status) == {
        "id",
        "state",
        "version",
        "versionDetails",
        "platformVersion",
        "instanceId",
        "computerName",
        "processUptime",
        "functionAppContentEditingState",
    }


@pytest.mark.conforms(
    "Admin API",
    "keys are listed with their names, those of a function, of the host and of the system",
    source="host:src/WebJobs.Script.WebHost/Controllers/KeysController.cs",
)
def test_keys_are_listed(web: RunningHost) -> None:
    keys = web.keys
    for path, named in {
        "/admin/functions/guarded/keys": keys["functions"]["guarded"],
        "/admin/host/keys": keys["host"],
        "/admin/host/functionkeys": keys["host"],
        "/admin/host/systemkeys": keys["system"],
    }.items():
        answer = web.http.get(path, headers=master(web)).json()
        assert answer["keys"] == [{"name": name, "value": named[name]} for name in named]
        assert answer["links"] == [{"rel": "self", "href": f"http://127.0.0.1:{web.port}{path}"}]


@pytest.mark.conforms(
    "Admin API",
    "\"If you don't want to pass input data to the function, you must still supply an empty"
    ' dictionary {} as the body of the POST request"',
    source=BY_HAND,
)
def test_a_run_wants_a_json_object(tmp_path: Path) -> None:
    env = {"EVIDENCE": str(tmp_path), "SLOW_SCHEDULE": "0 0 3 1 1 *"}
    with running(APPS / "clock", tmp_path / "host", env=env) as host:
        path = "/admin/functions/nightly"
        for body in ("", "nonsense", "[]", '"text"'):
            assert host.http.post(path, content=body, headers=master(host)).status_code == 400
        assert not (tmp_path / "nightly").exists()

        answer = host.http.post(path, content="{}", headers=master(host))

        assert (answer.status_code, answer.content) == (202, b"")
        eventually((tmp_path / "nightly").exists)
        told = "(Reason='This function was programmatically called via the host APIs.')"
        assert f"Executing 'Functions.nightly' {told}" in host.log


@pytest.mark.conforms(
    "Admin API",
    "a run is accepted at once, whatever comes of it",
    source=FUNCTIONS,
)
def test_a_run_that_fails_was_accepted_too(tmp_path: Path) -> None:
    env = {"EVIDENCE": str(tmp_path), "SLOW_SCHEDULE": "0 0 3 1 1 *"}
    with running(APPS / "clock", tmp_path / "host", env=env) as host:
        host.fire("stubborn", json.dumps("ignored"))

        eventually(lambda: "Executed 'Functions.stubborn' (Failed" in host.log)


def test_an_http_function_is_called_by_its_url(web: RunningHost) -> None:
    answer = web.http.post("/admin/functions/echo", json={}, headers=master(web))

    assert answer.status_code == 400
    assert answer.json() == {"Message": "echo has no manual run: call its URL"}
