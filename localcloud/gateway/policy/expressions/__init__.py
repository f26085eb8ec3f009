"""Policy expressions: the subset of C# that the policies use, compiled once into closures."""

from functools import lru_cache

from localcloud.gateway.policy.expressions.compiler import compiled
from localcloud.gateway.policy.expressions.lexer import ExpressionFault
from localcloud.gateway.policy.expressions.members import text_of
from localcloud.gateway.policy.expressions.operators import Run, Typed
from localcloud.gateway.policy.expressions.syntax import parse

__all__ = ["ExpressionFault", "Run", "Typed", "compile_expression", "text_of"]


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Typed:
    """The closure of what stands inside `@( )`, which knows nothing of where it stands.

    Raises ExpressionFault, at load and never later.

    Running it may raise what its Python does (KeyError, AttributeError, …) where C# would throw.
    """
    return compiled(parse(text))
