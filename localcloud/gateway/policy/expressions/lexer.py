"""Splits a policy expression into tokens; what is outside the subset is named here."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["name", "string", "char", "int", "sign", "end"]


class ExpressionFault(Exception):
    """The expression is not in the subset, or is not C#."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression and where it starts in it."""

    kind: Kind
    text: str
    at: int


LONGEST = 300
"""Tokens; deeper than any sane expression, and shallow enough to be read recursively."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<int>[0-9]+(?![.\w]))
      | "(?P<string>(?:[^"\\\r\n]|\\.)*)"
      | '(?P<char>(?:[^'\\\r\n]|\\.))'
      | (?P<sign>=>|&&|\|\||==|!=|<=|>=|\?\?|\?\.|[!<>+?:.,()\[\]])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, ending in one of kind "end". Raises ExpressionFault."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionFault(f"{text[at : at + 10]!r} is outside the subset of expressions")
        kind = match.lastgroup
        if kind == "string":
            found.append(Token("string", _unescaped(match["string"]), at))
        elif kind == "char":
            found.append(Token("char", _unescaped(match["char"]), at))
        elif kind == "name":
            found.append(Token("name", match["name"], at))
        elif kind == "int":
            found.append(Token("int", match["int"], at))
        elif kind == "sign":
            if match["sign"] == "=>":
                raise ExpressionFault("lambdas are outside the subset of expressions")
            found.append(Token("sign", match["sign"], at))
        at = match.end()
    if len(found) > LONGEST:
        raise ExpressionFault(f"the expression has more than {LONGEST} parts")
    found.append(Token("end", "", at))
    return found


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise ExpressionFault(f"\\{code} is no escape of C#")
    return _ESCAPES[code]
