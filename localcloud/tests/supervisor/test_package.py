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

INDEX = """\
import json, runpy, sys
from importlib.metadata import packages_distributions
folder, packages, protos = sys.argv[1:]
sys.path[:0] = [folder, packages]
import function_app
needed = set(sys.modules)
from azure_functions_runtime import functions, loader
from azure_functions_runtime.bindings import meta
meta.load_binding_registry()
described, _ = loader.process_indexed_function(
    runpy.run_path(protos)["PROTOS"],
    functions.Registry(),
    loader.index_function_app(folder + "/function_app.py"),
    folder,
)
file_of = lambda name: getattr(sys.modules[name], "__file__", None) or ""
owners = packages_distributions()
print(json.dumps({
    "names": [function.name for function in described],
    "ours": sorted({name.partition(".")[0] for name in sys.modules
                    if file_of(name).startswith(folder)}),
    "installed": sorted({owners[name][0].lower().replace("_", "-") for name in needed
                         if name in owners and file_of(name).startswith(packages)}),
}))
"""
"""What Microsoft's worker does with the folder that it is given, in a process that has no other."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("package") / "platform.zip"
    package.build(ROOT, built)
    return built


def test_only_what_is_deployed_is_packed(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert {name.partition("/")[0] for name in names} == DEPLOYED
    assert {Path(name).suffix for name in names} == {".py", ".json", ".txt"}


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


def test_the_package_indexes_alone_in_an_empty_folder(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    settings = environment.application_settings(ports.assign(ports.DEFAULTS), Secrets.fresh())
    done = subprocess.run(  # noqa: S603 - our own program
        [
            *(sys.executable, "-I", "-c", INDEX, str(tmp_path), sysconfig.get_path("purelib")),
            str(ROOT / "localcloud" / "functions" / "protos.py"),
        ],
        cwd=tmp_path,
        env={**settings, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ours"] == ["blueprints", "durable", "function_app", "shared"]
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert set(said["installed"]) <= locked, "something is imported that is not deployed"
    assert len(said["names"]) == len(set(said["names"]))
    assert {"place_order", "fulfil_order", "reserve_stock"} <= set(said["names"])
