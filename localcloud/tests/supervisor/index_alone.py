"""What Azure does with the package: `index_alone.py FOLDER SITE_PACKAGES PROTOS LOCKED_NAMES`.

Run with -I from elsewhere, so that only the folder and the installed packages can be imported.
Prints the functions that Microsoft's worker finds, and which top-level names came from the folder.
"""

import json
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions
from types import ModuleType


class OnlyDeployed(MetaPathFinder):
    """Hides every installed package that the deployed lock does not name."""

    def __init__(self, locked: set[str]) -> None:
        self._hidden = {
            name
            for name, owners in packages_distributions().items()
            if not any(owner.lower().replace("_", "-") in locked for owner in owners)
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        del path, target
        if fullname.partition(".")[0] in self._hidden:
            raise ModuleNotFoundError(f"{fullname} is not deployed", name=fullname)


def main() -> None:
    folder, packages, protos, locked = sys.argv[1:]
    sys.path[:0] = [folder, packages]
    only_deployed = OnlyDeployed(set(locked.split()))
    sys.meta_path.insert(0, only_deployed)
    __import__("function_app")
    sys.meta_path.remove(only_deployed)  # the worker itself is part of Azure, not of the package

    from azure_functions_runtime import functions, loader  # noqa: PLC0415
    from azure_functions_runtime.bindings import meta  # noqa: PLC0415

    meta.load_binding_registry()
    described, _ = loader.process_indexed_function(
        runpy.run_path(protos)["PROTOS"],
        functions.Registry(),
        loader.index_function_app(f"{folder}/function_app.py"),
        folder,
    )
    own = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if (getattr(module, "__file__", None) or "").startswith(folder)
    }
    names = [function.name for function in described]
    sys.stdout.write(json.dumps({"functions": names, "own": sorted(own)}))


if __name__ == "__main__":
    main()
