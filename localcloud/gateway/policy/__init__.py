"""The policy language of Azure API Management: loads `apim/` and runs requests through it."""

from localcloud.gateway.policy.context import (
    Api,
    Body,
    Context,
    ExtraOperation,
    Request,
    Response,
)
from localcloud.gateway.policy.faults import PolicyFault, Refusal
from localcloud.gateway.policy.headers import Headers
from localcloud.gateway.policy.pipeline import Pipeline
from localcloud.gateway.policy.policy_set import Masks, PolicySet
from localcloud.gateway.policy.services import (
    Contract,
    Limits,
    ManagedIdentity,
    Services,
    Taken,
    Upstream,
    Violation,
)

__all__ = [
    "Api",
    "Body",
    "Context",
    "Contract",
    "ExtraOperation",
    "Headers",
    "Limits",
    "ManagedIdentity",
    "Masks",
    "Pipeline",
    "PolicyFault",
    "PolicySet",
    "Refusal",
    "Request",
    "Response",
    "Services",
    "Taken",
    "Upstream",
    "Violation",
]
