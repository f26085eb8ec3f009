"""How refusals of the protocol look: OAuth's word, Entra's number, and a sentence for people."""

import time
import uuid
from typing import Any


class OAuthError(Exception):
    """A refused request: `error` is OAuth's word (RFC 6749 §5.2), `code` the AADSTS number."""

    def __init__(self, status: int, error: str, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.code, self.message = status, error, code, message

    def body(self) -> dict[str, Any]:
        """The JSON that Entra answers with."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        return {
            "error": self.error,
            "error_description": (
                f"AADSTS{self.code}: {self.message} Trace ID: {trace}"
                f" Correlation ID: {correlation} Timestamp: {stamp}"
            ),
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
        }


def missing(name: str) -> OAuthError:
    """A parameter that has to be there is not."""
    return OAuthError(
        400,
        "invalid_request",
        900144,
        f"The request body must contain the following parameter: '{name}'.",
    )


def not_in_directory(client_id: str, tenant_id: str, *, status: int, error: str) -> OAuthError:
    """No application of that name is registered there."""
    return OAuthError(
        status,
        error,
        700016,
        f"Application with identifier '{client_id[:64]}' was not found in the directory"
        f" '{tenant_id}'.",
    )
