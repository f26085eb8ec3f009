"""A small policy folder, so that the gateway itself is tested and not the platform's policies."""

import json
from pathlib import Path
from typing import Any

CALLS = 5
"""How often `limited` may be called within a minute by each `X-Who`."""

_GLOBAL = """<policies>
    <inbound>
        <set-header name="X-Correlation-Id" exists-action="skip">
            <value>@(context.RequestId.ToString())</value>
        </set-header>
    </inbound>
    <backend>
        <forward-request timeout="240" />
    </backend>
    <outbound />
    <on-error>
        <set-header name="X-Reason" exists-action="override">
            <value>@(context.LastError.Source + &quot;/&quot; + context.LastError.Reason)</value>
        </set-header>
    </on-error>
</policies>
"""
_API = """<policies>
    <inbound>
        <base />
        <set-backend-service backend-id="{backend}" />
    </inbound>
    <backend>
        <base />
    </backend>
    <outbound>
        <base />
    </outbound>
    <on-error>
        <base />
    </on-error>
</policies>
"""
_LIMITED = _API.replace(
    '<set-backend-service backend-id="{backend}" />',
    '<rate-limit-by-key calls="5" renewal-period="60"'
    ' counter-key="@(context.Request.Headers.GetValueOrDefault(&quot;X-Who&quot;, &quot;&quot;))"'
    ' remaining-calls-header-name="X-Left" />',
)
_CHECKED = _API.replace(
    '<set-backend-service backend-id="{backend}" />',
    '<validate-parameters specified-parameter-action="prevent"'
    ' unspecified-parameter-action="prevent">'
    '<headers specified-parameter-action="prevent" unspecified-parameter-action="ignore" />'
    "</validate-parameters>"
    '<validate-content unspecified-content-type-action="prevent" max-size="102400"'
    ' size-exceeded-action="prevent">'
    '<content type="application/json" validate-as="json" action="prevent" />'
    "</validate-content>",
)
_IMPATIENT = _API.replace(
    "<backend>\n        <base />", '<backend>\n        <forward-request timeout="1" />'
).replace('<set-backend-service backend-id="{backend}" />', "")
_DEAD = _API.replace("{backend}", "nowhere")

_VALUES = (
    "platform-url",
    "notifier-url",
    "clients-openid-config",
    "clients-issuer",
    "employees-authority",
    "employees-tenant-id",
    "admin-network-from",
    "admin-network-to",
)
_ANY = {"GET": "look", "POST": "send", "PUT": "put", "DELETE": "drop"}


def write_folder(folder: Path) -> Path:
    """The folder: `/external-api/v1/…`, a WebSocket below it, and `/internal-api/v1/…`."""
    (folder / "fragments").mkdir(parents=True)
    for name, text in {
        "global": _GLOBAL,
        "platform": _API.format(backend="platform"),
        "notifier": _API.format(backend="socket"),
        "limited": _LIMITED,
        "checked": _CHECKED,
        "impatient": _IMPATIENT,
        "dead": _DEAD,
    }.items():
        (folder / f"{name}.xml").write_text(text, "utf-8")
    (folder / "external.json").write_text(json.dumps(_document()), "utf-8")
    (folder / "apis.json").write_text(json.dumps(catalogue(), indent=2), "utf-8")
    return folder


def catalogue() -> dict[str, Any]:
    """What `apis.json` says."""
    return {
        "namedValues": {name: {"description": name} for name in _VALUES},
        "backends": {
            "platform": {"description": "the platform", "url": "{{platform-url}}/api/v1"},
            "socket": {"description": "WebSockets", "url": "{{notifier-url}}/socket"},
            "nowhere": {"description": "Nobody listens there.", "url": "http://127.0.0.1:9"},
        },
        "globalPolicy": "global.xml",
        "diagnostics": {"maskedHeaders": [], "maskedQuery": [], "bodyBytes": 0},
        "versionSets": {
            "external": {"displayName": "External", "scheme": "Segment"},
            "internal": {"displayName": "Internal", "scheme": "Segment"},
        },
        "apis": [
            _api("external", document="external.json"),
            _api("internal"),
            {
                "name": "external-socket",
                "displayName": "Socket",
                "description": "Socket",
                "gateway": "external",
                "kind": "websocket",
                "path": "external-api/v1/socket",
                "policy": "notifier.xml",
            },
        ],
    }


def _api(name: str, document: str = "") -> dict[str, Any]:
    operations = [
        {"id": f"{verb}_{what}", "method": method, "template": template}
        for method, verb in _ANY.items()
        for what, template in (("at", "/at/{place}"), ("deep", "/at/{place}/{deeper}"))
    ]
    operations += [
        {"id": "limited", "method": "GET", "template": "/limited", "policy": "limited.xml"},
        {"id": "impatient", "method": "GET", "template": "/impatient", "policy": "impatient.xml"},
        {"id": "dead", "method": "POST", "template": "/dead", "policy": "dead.xml"},
        {"id": "negotiate", "method": "POST", "template": "/socket/negotiate"},
        {"id": "head_at", "method": "HEAD", "template": "/at/{place}"},
    ]
    return {
        "name": f"{name}-v1",
        "displayName": name,
        "description": name,
        "gateway": name,
        "path": f"{name}-api",
        "version": "v1",
        "versionSet": name,
        "document": document,
        "policy": "platform.xml",
        "operations": [{"displayName": each["id"], "policy": "", **each} for each in operations],
        "operationPolicies": {"check": "checked.xml"} if document else {},
    }


def _document() -> dict[str, Any]:
    body = {
        "type": "object",
        "additionalProperties": False,
        "required": ["text"],
        "properties": {"text": {"type": "string", "maxLength": 100_000}},
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "External", "version": "1.0.0"},
        "externalDocs": {"url": "https://sign-in.example/clients/oauth2/v2.0"},
        "paths": {
            "/checked": {
                "post": {
                    "operationId": "check",
                    "parameters": [
                        {"name": "n", "in": "query", "schema": {"type": "integer"}},
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": body}},
                    },
                    "responses": {"200": {"description": "checked"}},
                }
            }
        },
    }
