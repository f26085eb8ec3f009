import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from localcloud import environment, package, ports
from localcloud.cloud import ROOT
from localcloud.state import Secrets

DEPLOYED = {"function_app.py", "host.json", "requirements.txt", "blueprints", "durable", "shared"}

INDEX_ALONE = Path(__file__).with_name("index_alone.py")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("package") / "platform.zip"
    package.build(ROOT, built)
    return built


def test_only_what_is_deployed_is_packed(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert {name.partition("/")[0] for name in names} == DEPLOYED
    assert {Path(name).suffix for name in names} == {".py", ".json", ".txt", ".j2"}


def test_the_same_files_give_the_same_archive(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    package.build(ROOT, again)
    assert again.read_bytes() == archive.read_bytes()


def test_ignored_names_do_not_swallow_others_that_contain_them(tmp_path: Path) -> None:
    for name in ("tests/test_a.py", "shared/tests.py", "shared/bench/x.py", "requirements.in"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / ".funcignore").write_text((ROOT / ".funcignore").read_text())
    packed = [file.as_posix() for file in package.deployed_files(tmp_path)]
    assert packed == ["shared/tests.py", "shared/bench/x.py"]


def test_the_package_indexes_alone_with_nothing_but_what_is_deployed(
    archive: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    settings = environment.application_settings(ports.assign(ports.DEFAULTS), Secrets.fresh())
    requirements = (tmp_path / "requirements.txt").read_text()
    locked = re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE)
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(INDEX_ALONE)),
            *(str(tmp_path), sysconfig.get_path("purelib")),
            *(str(ROOT / "localcloud" / "functions" / "protos.py"), " ".join(locked)),
        ],
        cwd=tmp_path,
        env={**settings, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["own"] == ["blueprints", "durable", "function_app", "shared"]
    assert len(said["functions"]) == len(set(said["functions"]))
    assert {"place_order", "fulfil_order", "reserve_stock"} <= set(said["functions"])
