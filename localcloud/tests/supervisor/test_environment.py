import json
import re
from dataclasses import fields

from localcloud import environment, ports
from localcloud.cloud import ROOT
from localcloud.state import Secrets


def test_the_sample_settings_are_those_of_the_local_cloud_without_its_secrets() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())
    secrets = Secrets(**{field.name: "change-me" for field in fields(Secrets)})
    assert sample == {
        "IsEncrypted": False,
        "Values": environment.application_settings(ports.assign(ports.DEFAULTS), secrets),
    }


def test_every_address_follows_its_port() -> None:
    secrets = Secrets.fresh()
    usual = environment.application_settings(ports.assign(ports.DEFAULTS), secrets)
    moved = environment.application_settings(ports.assign(ports.DEFAULTS, 6000), secrets)
    address = re.compile(rf"127\.0\.0\.1:({'|'.join(map(str, ports.DEFAULTS.values()))})\b")
    for name, value in usual.items():
        expected = address.sub(lambda found: f"127.0.0.1:{int(found[1]) + 1000}", value)
        assert moved[name] == expected
