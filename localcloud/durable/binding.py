"""The links through which a client reaches an orchestration instance."""

import json
from urllib.parse import quote

_PLACEHOLDER = "INSTANCEID"
"""Stands for the instance's id in the binding; the SDK replaces it wherever it occurs."""


def _query(hub: str, key: str) -> str:
    return f"taskHub={quote(hub)}&connection=Storage&code={quote(key)}"


def instance_links(instance_id: str, *, hub: str, base: str, key: str) -> dict[str, str]:
    """Every management URL of an instance; `{eventName}` and `{text}` are for the caller."""
    instance, query = f"{base}/instances/{instance_id}", _query(hub, key)
    return {
        "id": instance_id,
        "statusQueryGetUri": f"{instance}?{query}",
        "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{query}",
        "terminatePostUri": f"{instance}/terminate?reason={{text}}&{query}",
        "rewindPostUri": f"{instance}/rewind?reason={{text}}&{query}",
        "purgeHistoryDeleteUri": f"{instance}?{query}",
        "restartPostUri": f"{instance}/restart?{query}",
        "suspendPostUri": f"{instance}/suspend?reason={{text}}&{query}",
        "resumePostUri": f"{instance}/resume?reason={{text}}&{query}",
    }


def client_binding(*, hub: str, public_base: str, rpc_base: str, key: str) -> str:
    """The JSON text that a `durableClient` binding receives.

    The bases end where `/instances` begins: `http://…/runtime/webhooks/durabletask` and
    `http://…/durabletask`.
    """
    public_base = public_base.rstrip("/")
    create = f"{public_base}/orchestrators/{{functionName}}[/{{instanceId}}]"
    return json.dumps(
        {
            "taskHubName": hub,
            "creationUrls": {
                "createNewInstancePostUri": f"{create}?code={quote(key)}",
                "createAndWaitOnNewInstancePostUri": (
                    f"{create}?timeout={{timeoutInSeconds}}"
                    f"&pollingInterval={{intervalInSeconds}}&code={quote(key)}"
                ),
            },
            "managementUrls": instance_links(_PLACEHOLDER, hub=hub, base=public_base, key=key),
            "baseUrl": public_base,
            "requiredQueryStringParameters": f"code={quote(key)}",
            "rpcBaseUrl": rpc_base.rstrip("/") + "/",
        }
    )
