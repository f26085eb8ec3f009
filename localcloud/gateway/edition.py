"""One reading of the policy folder: policies, operations and what checks their requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.gateway.checking import OpenApiContract
from localcloud.gateway.description import Description
from localcloud.gateway.documents import Document
from localcloud.gateway.named import sign_in
from localcloud.gateway.policy import Api, PolicyFault, PolicySet
from localcloud.gateway.portal import with_sign_in
from localcloud.gateway.routing import Apis, Operation, Operations


@dataclass(frozen=True)
class Edition:
    """What a request meets from its beginning to its end, even when the files change meanwhile."""

    policies: PolicySet
    ports: Mapping[str, Apis]
    operations: Mapping[str, Operations]
    documents: Mapping[str, bytes]
    """OpenAPI documents for the interactive documentation, by path: people sign in locally."""
    contract: OpenApiContract

    @classmethod
    def load(cls, folder: Path, named: Mapping[str, str]) -> "Edition":
        """The folder as it is now. PolicyFault with file and line when it cannot be executed."""
        policies = PolicySet.load(folder, named)
        apis = policies.apis.values()
        listed = {api.name: _operations(api) for api in apis}
        read = [(api, api.document) for api in apis if api.document is not None]
        return cls(
            policies,
            {
                port: Apis(api for api in apis if api.gateway == port)
                for port in ("external", "internal")
            },
            {api.name: _routed(api, listed[api.name], folder) for api in apis},
            {
                _shown_at(api): with_sign_in(file.read_bytes(), **sign_in(named))
                for api, file in read
            },
            OpenApiContract(_descriptions(listed)),
        )


def _operations(api: Api) -> list[Operation]:
    documented = Document(api.document).operations() if api.document is not None else ()
    extra = (Operation(each.id, each.method, each.template) for each in api.operations)
    return [*documented, *extra]


def _routed(api: Api, operations: list[Operation], folder: Path) -> Operations:
    try:
        return Operations(operations)
    except ValueError as fault:
        raise PolicyFault(api.document or folder / "apis.json", 1, str(fault)) from fault


def _descriptions(listed: Mapping[str, list[Operation]]) -> dict[tuple[str, str], Description]:
    return {
        (name, operation.id): operation.description
        for name, operations in listed.items()
        for operation in operations
        if operation.description is not None
    }


def _shown_at(api: Api) -> str:
    return f"/{api.path}/docs/{api.version}/openapi.json"
