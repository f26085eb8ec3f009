"""What the health endpoints tell: states only, no addresses and no causes."""

from typing import Literal

from pydantic import BaseModel

State = Literal["up", "down"]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Readiness(BaseModel):
    """Whether requests can be served, and the state of each thing that serving leans on."""

    status: Literal["ready", "unready"]
    dependencies: dict[str, State]
