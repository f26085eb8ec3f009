"""The authorization matrix as a page: `python -m tests.rig.authorization_page` writes it."""

import re
from pathlib import Path

from tests.rig.authorization import (
    COLUMNS,
    FORBIDDEN,
    NOT_FOUND,
    REFUSED_FOR_CONTENT,
    ROLES,
    UNKNOWN_TOKEN,
    Cell,
    Row,
    Who,
)
from tests.rig.authorization_rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "authorization-matrix.md"

_PARAMETER = re.compile(r"\{[a-z_]+\}")


def hidden(row: Row, *, from_employees: bool) -> Cell | None:
    """What the proxy of one kind of caller answers if it does not show the operation.

    None if it does. What a proxy does not show is not there: 404; 405 if the path is there under
    another method, 400 if it reads as the path of something else, with a name that is no id.
    """

    def shown(one: Row) -> bool:
        return bool(one.employees) if from_employees else one.clients

    if shown(row):
        return None
    path = _PARAMETER.sub("x", row.path.partition("?")[0])
    there = [
        one.method
        for one in ROWS
        if shown(one) and re.fullmatch(_PARAMETER.sub("[^/]+", one.path.partition("?")[0]), path)
    ]
    if row.method in there:
        return REFUSED_FOR_CONTENT
    return (405, "method-not-allowed") if there else NOT_FOUND


def page() -> str:
    """The matrix as a page."""
    lines = [
        "# Authorization matrix",
        "",
        "Who gets what answer from which operation. Written by hand in",
        "`tests/rig/authorization_rows.py` from what the design allows, printed here by",
        "`python -m tests.rig.authorization_page`, and asserted cell by cell against the running",
        "platform by `tests/e2e/test_authorization_matrix.py`.",
        "",
        "**owner** is the client whose order, payment, message or session it is; **other",
        "client** another one with every scope; **no scope** a client whose token lacks the",
        "operation's scope; the roles are employees with that role alone. `✓` is let in; the",
        "number is the answer to the request that the test makes, which changes nothing. `–` is",
        "kept out: 401 for a token that proves nothing, 403 for who may not, 404 for who is not to",
        "know that it exists.",
        "",
        f"| operation | {' | '.join(COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    for row in ROWS:
        expected = row.expected()
        cells = [_shown(row, who, expected[who]) for who in COLUMNS]
        path = row.path.partition("?")[0]
        lines.append(f"| `{row.method} /{path}` | {' | '.join(cells)} |")
    codes = ", ".join(f"{who}: `{code}`" for who, (_, code) in UNKNOWN_TOKEN.items())
    lines += [
        "",
        f"Codes of the 401s: {codes}; of every 403 `forbidden`, of every 404 `not-found`.",
        "Webhooks ask for a partner's signature instead (`signature-invalid`), and take a token in",
        "`Authorization` from the gateway alone (`gateway-required`).",
        "",
        "Through the gateway clients and partners come by the external proxy, employees by the",
        "internal one. Each shows only what its callers may use: of all else it says 404.",
        "",
    ]
    return "\n".join(lines)


def _shown(row: Row, who: Who, cell: Cell) -> str:
    """A cell of the page."""
    mine = who in {"owner", "other client"}
    kept_out = row.partner or (
        not row.anyone
        and (cell in {FORBIDDEN, *UNKNOWN_TOKEN.values()} or (cell == NOT_FOUND and row.owned))
        and (mine or who in ROLES or cell != row.let_in)
    )
    return f"{'–' if kept_out else '✓'} {cell[0]}"


if __name__ == "__main__":
    PAGE.write_text(page())
