"""What can go wrong: a file that is not acceptable, and a request that is refused.

Exception
 ├─ PolicyFault   at load: names file and line
 └─ Refusal       at run time: what `context.LastError` shows
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})


class PolicyFault(Exception):
    """A file of the policy folder cannot be executed; says which file and line."""

    def __init__(self, file: Path, line: int, message: str) -> None:
        super().__init__(file, line, message)
        self.file, self.line, self.message = file, line, message

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class Refusal(Exception):
    """An error that jumps to `on-error`, with the names API Management gives it.

    `status` is the answer's status unless a policy says otherwise. `message` may describe the
    request; policies decide what of it is shown.
    """

    def __init__(
        self,
        *,
        source: str,
        reason: str,
        message: str = "",
        status: int = 500,
        headers: Mapping[str, str] = _NONE,
    ) -> None:
        super().__init__(source, reason, message, status)
        self.source, self.reason, self.message = source, reason, message
        self.status, self.headers = status, headers
        self.scope = self.section = self.path = self.policy_id = ""
