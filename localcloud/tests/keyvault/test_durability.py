"""What was answered survives, whatever ends the process; and the command works beside it."""

import json
import stat
from pathlib import Path

import pytest
from azure.keyvault.secrets import SecretClient
from click.testing import CliRunner, Result

from localcloud.keyvault.__main__ import main
from localcloud.keyvault.errors import VaultError
from localcloud.keyvault.records import NewVersion
from localcloud.keyvault.store import SecretStore
from localcloud.tests.keyvault.conftest import OFFICER, Bearer, Here
from localcloud.tests.partners.part import Part, running, start


def command(state: Path, *arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["--state", str(state), *arguments], input=typed)


def test_a_killed_vault_has_what_it_answered(tmp_path: Path, identity: Part) -> None:
    options = "--identity", identity.url
    part = start("localcloud.keyvault", tmp_path, *options)
    here = Here(part, identity, tmp_path)
    credential = Bearer(here.token(roles=[OFFICER]))
    with SecretClient(here.url, credential, connection_verify=here.ca_file) as client:
        version = client.set_secret("kept", "value").properties.version
        client.begin_delete_secret("gone" if client.set_secret("gone", "x") else "").wait()
        part.kill()
        assert part.process.stdout is not None
        part.process.stdout.close()
        again = start("localcloud.keyvault", tmp_path, *options, port=part.port)
        try:
            found = client.get_secret("kept")
            assert (found.value, found.properties.version) == ("value", version)
            assert [one.name for one in client.list_deleted_secrets()] == ["gone"]
            assert again.stop() == 0
        finally:
            again.kill()
            assert again.process.stdout is not None
            again.process.stdout.close()


def test_a_value_that_the_command_sets_is_served_at_once(
    vault: Here, officer: SecretClient
) -> None:
    assert command(vault.state, "set", "by-command", typed="first\n").exit_code == 0
    assert officer.get_secret("by-command").value == "first"
    assert command(vault.state, "set", "by-command", "--value", "second").exit_code == 0
    assert officer.get_secret("by-command").value == "second"
    assert command(vault.state, "set", "by-command", "--generate").exit_code == 0
    made = command(vault.state, "show", "by-command").stdout.strip()
    assert officer.get_secret("by-command").value == made
    assert len(made) == 43


def test_the_command_switches_deletes_and_recovers(vault: Here, officer: SecretClient) -> None:
    officer.set_secret("tended", "value")
    for step, shown in (
        (("disable", "tended"), "disabled"),
        (("enable", "tended"), "enabled"),
        (("delete", "tended"), "tended: deleted"),
        (("recover", "tended"), "tended: recovered"),
    ):
        done = command(vault.state, *step)
        assert done.exit_code == 0
        assert shown in done.stdout
        assert "value" not in done.stdout
    assert officer.get_secret("tended").value == "value"
    listed = command(vault.state, "list").stdout
    assert "tended" in listed
    assert "value" not in listed


@pytest.mark.parametrize(
    ("arguments", "typed", "reason"),
    [
        (("show", "never-there"), None, "was not found"),
        (("set", "under_score", "--value", "x"), None, "invalid name"),
        (("set", "empty"), "", "the value is empty"),
        (("set", "both", "--value", "x", "--generate"), None, "exclude each other"),
        (("set", "large", "--value", "x" * 25_601), None, "more than 25600 characters"),
    ],
)
def test_the_command_says_what_it_cannot_do(
    vault: Here, arguments: tuple[str, ...], typed: str | None, reason: str
) -> None:
    done = command(vault.state, *arguments, typed=typed)
    assert done.exit_code != 0
    assert reason in done.stderr


def test_a_command_for_no_vault_makes_none(tmp_path: Path) -> None:
    done = command(tmp_path / "missing", "set", "any", "--value", "x")
    assert done.exit_code == 1
    assert "is no vault's folder" in done.stderr
    assert not (tmp_path / "missing").exists()


def test_a_seed_sets_only_what_the_vault_has_never_had(tmp_path: Path, identity: Part) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"changed": "old", "deleted": "old", "new": "new"}))
    state = tmp_path / "state"
    store = SecretStore(state)
    for name in ("changed", "deleted"):
        store.set(name, NewVersion(value="mine"))
    store.delete("deleted")
    with running("localcloud.keyvault", state, "--identity", identity.url, "--seed", str(seed)):
        assert store.get("changed").value == "mine"
        assert store.get("new").value == "new"
        with pytest.raises(VaultError, match="was not found"):
            store.get("deleted")
    store.close()


def test_what_is_secret_is_its_owners_alone(vault: Here) -> None:
    for name in ("secrets.sqlite3", "backup.key"):
        assert stat.S_IMODE((vault.state / name).stat().st_mode) == 0o600


def test_a_deleted_secret_is_purged_after_ninety_days(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    store = SecretStore(tmp_path, clock=lambda: now[0])
    store.set("old", NewVersion(value="first"))
    store.delete("old")
    now[0] += 90 * 86_400 - 1
    with pytest.raises(VaultError, match="deleted but recoverable"):
        store.set("old", NewVersion(value="second"))
    now[0] += 1
    with pytest.raises(VaultError, match="Deleted Secret not found"):
        store.recover("old")
    assert store.all_deleted(after="", limit=9) == []
    store.set("old", NewVersion(value="second"))
    assert [one.value for _, one in store.versions("old", after=0, limit=9)] == ["second"]
    store.close()
    assert b"first" not in (tmp_path / "secrets.sqlite3").read_bytes()


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    kept = store.set("kept", NewVersion(value="value"))
    with pytest.raises(VaultError, match="already exists"):
        store.restore([kept, kept])
    assert [one for _, one in store.versions("kept", after=0, limit=9)] == [kept]
    store.close()
