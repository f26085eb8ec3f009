"""Policy expressions: the subset of C# that the policies use, compiled once into closures."""

from localcloud.gateway.policy.expressions.compiler import compiled
from localcloud.gateway.policy.expressions.lexer import ExpressionFault
from localcloud.gateway.policy.expressions.members import text_of
from localcloud.gateway.policy.expressions.operators import Run, Typed
from localcloud.gateway.policy.expressions.syntax import parse

__all__ = ["ExpressionFault", "Run", "Typed", "compile_expression", "text_of"]


def compile_expression(text: str) -> Typed:
    """The closure of what stands inside `@( )`. Raises ExpressionFault at load, never later.

    Running it may raise what its Python does (KeyError, AttributeError, …) where C# would throw.
    """
    return compiled(parse(text))
