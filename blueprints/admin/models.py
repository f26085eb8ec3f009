"""What the health endpoints tell: states only, no addresses and no causes."""

from typing import Literal

from pydantic import BaseModel, JsonValue, RootModel


class OpenApiDocument(RootModel[dict[str, JsonValue]]):
    """An OpenAPI 3.0.3 document."""


State = Literal["up", "down"]
Circuit = Literal["closed", "open", "half_open"]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Readiness(BaseModel):
    """Whether requests can be served, and the state of each thing that serving leans on.

    `circuits` tells which partners the answering process leaves alone because they did not answer.
    """

    status: Literal["ready", "unready"]
    dependencies: dict[str, State]
    circuits: dict[str, Circuit] = {}
