"""Whose data employees were shown, as a slice told it."""

from shared.http import Disclosure


class Accesses:
    """Keeps disclosures in memory; refuses them while `broken`."""

    def __init__(self) -> None:
        self.seen: list[Disclosure] = []
        self.broken = False

    async def record(self, disclosure: Disclosure) -> None:
        if self.broken:
            raise OSError("the access log is away")
        self.seen.append(disclosure)

    def shown(self) -> list[tuple[str, int, tuple[str, ...]]]:
        """Operation, number of people and fields of each, oldest first."""
        return [(one.operation, len(one.people), one.fields) for one in self.seen]
