"""Who calls: access tokens of the two tenants, verified here whatever the gateway did before."""

from shared.auth.caller import (
    ADMIN,
    ANONYMOUS,
    ANYONE,
    CUSTOMER_SERVICE,
    EMPLOYEE_SCOPE,
    EMPLOYEES,
    ORDER_MANAGER,
    PARTNER,
    PARTNERS,
    Access,
    Caller,
    access,
)
from shared.auth.gateway import Gateway
from shared.auth.sessions import Ended, Endings, Seen, Sessions
from shared.auth.step_up import StepUp
from shared.auth.tokens import Authenticator, TrustedIssuer

__all__ = [
    "ADMIN",
    "ANONYMOUS",
    "ANYONE",
    "CUSTOMER_SERVICE",
    "EMPLOYEES",
    "EMPLOYEE_SCOPE",
    "ORDER_MANAGER",
    "PARTNER",
    "PARTNERS",
    "Access",
    "Authenticator",
    "Caller",
    "Ended",
    "Endings",
    "Gateway",
    "Seen",
    "Sessions",
    "StepUp",
    "TrustedIssuer",
    "access",
]
