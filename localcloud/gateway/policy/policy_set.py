"""The folder of policies: what `apis.json` lists, loaded whole or refused with file and line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from localcloud.gateway.policy.building import Shared
from localcloud.gateway.policy.catalogue import ApiEntry, Catalogue, OperationEntry, catalogue
from localcloud.gateway.policy.context import Api, ExtraOperation
from localcloud.gateway.policy.documents import Document, built, document, fragment
from localcloud.gateway.policy.faults import PolicyFault
from localcloud.gateway.policy.jwt import Issuer
from localcloud.gateway.policy.pipeline import Pipeline

_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options", "trace"})
ON_HANDSHAKE = "onHandshake"
"""The one operation of a WebSocket API."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Headers and query parameters, in lower case, whose values no log shows."""

    headers: frozenset[str]
    query: frozenset[str]


@dataclass(frozen=True)
class PolicySet:
    """Every API with its policies, ready to run."""

    apis: Mapping[str, Api]
    backends: Mapping[str, str]
    files: frozenset[Path]
    masks: Masks
    _pipelines: Mapping[tuple[str, str], Pipeline]
    _unmatched: Pipeline

    @classmethod
    def load(cls, folder: Path, named: Mapping[str, str]) -> Self:
        """Reads and builds everything below `folder`. Raises PolicyFault at the first fault."""
        entries = catalogue(folder / "apis.json", named)
        loader = _Loader(folder, entries)
        apis, pipelines = {}, {}
        for entry in entries.apis:
            if entry.name in apis:
                raise entries.fault(entry.name, f"two APIs are called {entry.name}")
            apis[entry.name] = loader.api(entry)
            loader.pipeline(entry, "")  # a mistake counts even where nothing is described yet
            for operation, file in loader.operations(entry).items():
                pipelines[entry.name, operation] = loader.pipeline(entry, file)
        _check_paths(entries, apis)
        return cls(
            apis=apis,
            backends=loader.shared.backends,
            files=frozenset(loader.files),
            masks=Masks(frozenset(entries.masked_headers), frozenset(entries.masked_query)),
            _pipelines=pipelines,
            _unmatched=loader.unmatched(),
        )

    def pipeline(self, api: str, operation_id: str) -> Pipeline:
        """The policies of an operation. KeyError when there is none."""
        return self._pipelines[api, operation_id]

    def unmatched(self, api: str | None) -> Pipeline:  # noqa: ARG002 - says what was matched so far
        """What answers a request that is for no operation: the global scope alone."""
        return self._unmatched


class _Loader:
    """Reads each file once and builds each chain of files once."""

    def __init__(self, folder: Path, entries: Catalogue) -> None:
        self._folder, self._entries = folder, entries
        fragments = {}
        files = sorted((folder / "fragments").glob("*.xml"))
        for file in files:
            fragments[file.stem] = fragment(file)
        self.files = {entries.file, *files}
        issuers: dict[str, Issuer] = {}
        self.shared = Shared(entries.named, fragments, entries.backends, issuers)
        self._documents: dict[tuple[str, str], Document] = {}
        self._built: dict[tuple[str, str, bool], Pipeline] = {}
        self._global = self._document(entries.global_policy, "global")

    def api(self, entry: ApiEntry) -> Api:
        """The API as it is matched."""
        prefix = f"/{entry.path}/{entry.version}" if entry.version else f"/{entry.path}"
        return Api(
            name=entry.name,
            gateway=entry.gateway,
            path=entry.path,
            version=entry.version,
            prefix=prefix,
            kind=entry.kind,
            document=self._folder / entry.document if entry.document else None,
            operations=tuple(
                ExtraOperation(extra.id, extra.method, extra.template) for extra in entry.operations
            ),
        )

    def operations(self, entry: ApiEntry) -> dict[str, str]:
        """Each operation's id and the file of its own policies ("" for none)."""
        if entry.kind == "websocket":
            return {ON_HANDSHAKE: ""}
        found = dict.fromkeys(self._described(entry), "")
        for name, file in entry.operation_policies.items():
            if name not in found:
                raise self._entries.fault(name, f"{entry.name} has no operation {name}")
            found[name] = file
        for extra in entry.operations:
            self._check_new(entry, extra, found)
            found[extra.id] = extra.policy
        return found

    def _check_new(self, entry: ApiEntry, extra: OperationEntry, found: Mapping[str, str]) -> None:
        if extra.id in found:
            raise self._entries.fault(extra.id, f"{entry.name} has two operations {extra.id}")

    def _described(self, entry: ApiEntry) -> list[str]:
        if not entry.document:
            return []
        file = self._folder / entry.document
        self.files.add(file)
        try:
            paths = json.loads(file.read_bytes())["paths"]
            return [
                operation["operationId"]
                for path in paths.values()
                for method, operation in path.items()
                if method in _METHODS
            ]
        except OSError as error:
            raise self._entries.fault(
                entry.document, f"{entry.document} cannot be read: {error.strerror}"
            ) from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise PolicyFault(file, 1, "is no OpenAPI document with operation ids") from error

    def pipeline(self, entry: ApiEntry, operation_policy: str) -> Pipeline:
        """The chain global, API, operation, built once for all operations that share it."""
        websocket = entry.kind == "websocket"
        key = (entry.policy, operation_policy, websocket)
        if key not in self._built:
            chain = [self._global, self._document(entry.policy, "api")]
            if operation_policy:
                chain.append(self._document(operation_policy, "operation"))
            self._built[key] = Pipeline(built(chain, self.shared, websocket=websocket))
        return self._built[key]

    def unmatched(self) -> Pipeline:
        """The global scope by itself."""
        return Pipeline(built([self._global], self.shared, websocket=False))

    def _document(self, name: str, scope: str) -> Document:
        key = (name, scope)
        if key not in self._documents:
            file = self._folder / name
            self.files.add(file)
            self._documents[key] = document(file, scope)
        return self._documents[key]


def _check_paths(entries: Catalogue, apis: Mapping[str, Api]) -> None:
    """No two APIs on one path, and no WebSocket where an operation answers HTTP.

    API Management does not mix them: https://learn.microsoft.com/azure/api-management/websocket-api
    """
    taken: dict[tuple[str, str], str] = {}
    for api in apis.values():
        key = (api.gateway, api.prefix)
        if key in taken:
            raise entries.fault(api.name, f"{api.name} and {taken[key]} share {api.prefix}")
        taken[key] = api.name
    sockets = {(api.gateway, api.prefix): api.name for api in apis.values() if api.kind != "http"}
    for api in apis.values():
        for path in _paths(api) if api.kind == "http" else ():
            socket = sockets.get((api.gateway, path))
            if socket is not None:
                raise entries.fault(
                    socket, f"{path} is both the WebSocket API {socket} and HTTP in {api.name}"
                )


def _paths(api: Api) -> list[str]:
    """Every whole path on which the API answers HTTP; its document was read before."""
    paths = [operation.template for operation in api.operations]
    if api.document is not None:
        paths += json.loads(api.document.read_bytes())["paths"]
    return [(api.prefix + path).rstrip("/") for path in paths]
