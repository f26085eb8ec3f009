"""Function keys: who may call what, and where the keys are kept."""

import stat
from pathlib import Path

import pytest

from localcloud.functions.errors import StartRefused
from localcloud.functions.keys import load_keys
from localcloud.tests.functions.running_host import APPS, RunningHost, running


@pytest.mark.conforms(
    "Keys",
    "level function: a key of the function or of the host, in x-functions-key or ?code=",
    source="learn:azure/azure-functions/function-keys-how-to",
)
def test_a_function_key_a_host_key_and_the_master_key_open_a_function(web: RunningHost) -> None:
    keys = web.keys
    own = keys["functions"]["guarded"]["default"]
    for key in (own, keys["host"]["default"], keys["master"]):
        by_header = web.http.get("/api/function", headers={"x-functions-key": key})
        by_query = web.http.get("/api/function", params={"code": key})
        assert (by_header.text, by_query.text) == ("open", "open")


@pytest.mark.conforms(
    "Keys",
    "without a key that fits the answer is 401",
    source="learn:azure/azure-functions/function-keys-how-to",
)
def test_no_key_a_wrong_key_and_another_functions_key_are_401(web: RunningHost) -> None:
    other = web.keys["functions"]["echo"]["default"]
    assert web.http.get("/api/function").status_code == 401
    for key in ("wrong", other, ""):
        answer = web.http.get("/api/function", params={"code": key})
        assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.conforms(
    "Keys",
    "level admin: the master key only",
    source="learn:azure/azure-functions/function-keys-how-to",
)
def test_only_the_master_key_opens_an_admin_function(web: RunningHost) -> None:
    keys = web.keys
    own = keys["functions"]["guarded_admin"]["default"]

    assert web.http.get("/api/master", params={"code": own}).status_code == 401
    assert web.http.get("/api/master", params={"code": keys["host"]["default"]}).status_code == 401
    assert web.http.get("/api/master", params={"code": keys["master"]}).text == "open"


@pytest.mark.conforms(
    "Keys",
    "a disabled function is a 404, to who has its key",
    source="host:src/WebJobs.Script.WebHost/Middleware/FunctionInvocationMiddleware.cs",
)
def test_the_key_is_asked_for_before_a_disabled_function_is_404(web: RunningHost) -> None:
    assert web.http.get("/api/off").status_code == 401
    assert web.http.get("/api/off", params={"code": web.keys["master"]}).status_code == 404


def test_the_key_file_is_the_owners_alone(web: RunningHost) -> None:
    mode = (web.state / "keys.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_without_keys_everything_is_open(tmp_path: Path) -> None:
    with running(APPS / "web", tmp_path, "--no-require-keys") as host:
        assert host.http.get("/api/function").text == "open"
        assert host.http.get("/api/master").text == "open"
        assert host.http.get("/admin/functions").status_code == 200


def test_keys_stay_and_new_functions_get_theirs(tmp_path: Path) -> None:
    first = load_keys(tmp_path, ["a"])
    second = load_keys(tmp_path, ["a", "b"])

    assert second.master == first.master
    assert second.functions["a"] == first.functions["a"]
    assert second.functions["b"] not in (first.functions["a"], ())
    assert load_keys(tmp_path, ["a", "b"]) == second


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")

    with pytest.raises(StartRefused, match=r"keys\.json is damaged"):
        load_keys(tmp_path, [])
