"""Reads a policy expression into a tree: the grammar of the subset, by C#'s precedence."""

from dataclasses import dataclass

from localcloud.gateway.policy.expressions.lexer import ExpressionFault, Token, tokens

CASTS = frozenset({"Jwt", "string", "bool", "int"})
CREATED = frozenset({"JObject", "JProperty", "JArray"})
_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `type` is string, char, int, bool or null."""

    type: str
    value: str | int | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name: `context`, or where a dotted static name starts."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`, or `of?.name` when it is safe."""

    of: "Node"
    name: str
    safe: bool


@dataclass(frozen=True, slots=True)
class Call:
    """`of.name<generic>(arguments)`."""

    of: Member
    generic: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`of[key]`."""

    of: "Node"
    key: "Node"


@dataclass(frozen=True, slots=True)
class Cast:
    """`(type)of`."""

    type: str
    of: "Node"


@dataclass(frozen=True, slots=True)
class New:
    """`new type(arguments)`."""

    type: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`!of`."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """`left sign right`."""

    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Choice:
    """`condition ? yes : no`."""

    condition: "Node"
    yes: "Node"
    no: "Node"


Node = Literal | Name | Member | Call | Index | Cast | New | Not | Binary | Choice

_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", ">", "<=", ">="), ("+",))


def parse(text: str) -> Node:
    """The tree of the expression inside `@( )`. Raises ExpressionFault."""
    parser = _Parser(tokens(text))
    node = parser.expression()
    parser.expect("end", "")
    return node


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens, self._at, self._depth = found, 0, 0

    def expect(self, kind: str, text: str) -> Token:
        token = self._tokens[self._at]
        if token.kind != kind or (text and token.text != text):
            wanted = text or ("the end" if kind == "end" else f"a {kind}")
            found = repr(token.text) if token.kind != "end" else "the end"
            raise ExpressionFault(f"expected {wanted}, found {found}")
        self._at += 1
        return token

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > _DEPTH:
            raise ExpressionFault("the expression is nested too deeply")
        condition = self._coalesced()
        if self._take("?"):
            yes = self.expression()
            self.expect("sign", ":")
            condition = Choice(condition, yes, self.expression())
        self._depth -= 1
        return condition

    def _take(self, *signs: str) -> str:
        token = self._tokens[self._at]
        if token.kind == "sign" and token.text in signs:
            self._at += 1
            return token.text
        return ""

    def _coalesced(self) -> Node:
        left = self._binary(0)
        if self._take("??"):
            return Binary("??", left, self._coalesced())
        return left

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while sign := self._take(*_LEVELS[level]):
            left = Binary(sign, left, self._binary(level + 1))
        return left

    def _unary(self) -> Node:
        if self._take("!"):
            return Not(self._unary())
        ahead = self._tokens[self._at : self._at + 3]
        if [token.text for token in ahead[::2]] == ["(", ")"] and ahead[1].text in CASTS:
            self._at += 3
            return Cast(ahead[1].text, self._unary())
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        while sign := self._take(".", "?.", "["):
            if sign == "[":
                node = Index(node, self.expression())
                self.expect("sign", "]")
                continue
            member = Member(node, self.expect("name", "").text, safe=sign == "?.")
            generic = self._generic()
            node = Call(member, generic, self._arguments()) if self._take("(") else member
        return node

    def _generic(self) -> str:
        ahead = [token.text for token in self._tokens[self._at : self._at + 4]]
        if ahead[:1] == ["<"] and ahead[2:] == [">", "("]:
            self._at += 3
            return ahead[1]
        return ""

    def _arguments(self) -> tuple[Node, ...]:
        if self._take(")"):
            return ()
        arguments = [self.expression()]
        while self._take(","):
            arguments.append(self.expression())
        self.expect("sign", ")")
        return tuple(arguments)

    def _primary(self) -> Node:
        if self._take("("):
            node = self.expression()
            self.expect("sign", ")")
            return node
        token = self._tokens[self._at]
        if token.kind not in ("string", "char", "int", "name"):
            raise ExpressionFault(f"expected a value, found {token.text or 'the end'!r}")
        self._at += 1
        if token.kind == "int":
            return Literal("int", int(token.text))
        if token.kind != "name":
            return Literal(token.kind, token.text)
        if token.text == "new":
            return self._new()
        words: dict[str, bool | None] = {"true": True, "false": False, "null": None}
        if token.text in words:
            value = words[token.text]
            return Literal("null" if value is None else "bool", value)
        return Name(token.text)

    def _new(self) -> Node:
        created = self.expect("name", "").text
        if created not in CREATED:
            raise ExpressionFault(f"new {created} is outside the subset of expressions")
        self.expect("sign", "(")
        return New(created, self._arguments())
