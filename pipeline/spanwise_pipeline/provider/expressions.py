"""Arithmetic and conditions over facts, parsed by Python's own grammar and walked through a whitelist of nodes.

Nothing is evaluated by the interpreter. Conditions are not cut short: an unknown fact anywhere in them makes the whole
unknown, so that a prompt that lost a fact cannot reach the right answer by luck.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from typing import TYPE_CHECKING, Final, TypeAlias

from spanwise_pipeline.provider.facts import NAME, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value: TypeAlias = float | str | bool
Facts: TypeAlias = "Mapping[str, str]"

MAX_LENGTH: Final = 500
_BINARY: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
}
_COMPARE: Final[dict[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: Final = {"min": (1, 99), "max": (1, 99), "abs": (1, 1), "round": (1, 2)}
_NODES: Final = (
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.Load, ast.USub, ast.UAdd,
    ast.Not, ast.And, ast.Or, ast.Eq, ast.NotEq, *_BINARY, *_COMPARE,
)  # fmt: skip


class UnknownValueError(Exception):
    """The expression has no value: a fact is missing or no number, or a division is by zero."""


def parse(text: str) -> ast.expr:
    """Return the checked tree of `text`; raises ValueError saying what the grammar does not have."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            # `1if a` and `"\d"` only warn in Python's grammar.
            warnings.simplefilter("error")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, Warning):
        raise ValueError(f"{text.strip()!r} is no expression") from None
    for node in ast.walk(tree):
        _check(node)
    return tree


def _check(node: ast.AST) -> None:
    if not isinstance(node, _NODES):
        raise ValueError(f"{type(node).__name__} is not part of the grammar")  # noqa: TRY004 - the text is at fault
    if isinstance(node, ast.Call):
        _check_call(node)
    if isinstance(node, ast.Constant) and (
        isinstance(node.value, bool) or not isinstance(node.value, (int, float, str))
    ):
        raise ValueError(f"{node.value!r} is neither a number nor a quoted text")  # noqa: TRY004 - as above


def _check_call(node: ast.Call) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else "?"
    if name not in _FUNCTIONS or node.keywords:
        raise ValueError(f"the functions are {', '.join(_FUNCTIONS)}")
    fewest, most = _FUNCTIONS[name]
    if not fewest <= len(node.args) <= most:
        raise ValueError(f"{name}() does not take {len(node.args)} values")


def compute(tree: ast.expr, facts: Facts) -> float:
    """Return the number that `tree` is; raises `UnknownValueError`."""
    try:
        value = _number(tree, facts)
    except (ZeroDivisionError, OverflowError):
        raise UnknownValueError from None
    if not math.isfinite(value):
        raise UnknownValueError
    return value


def holds(tree: ast.expr, facts: Facts) -> bool:
    """Tell whether the condition `tree` is true; raises `UnknownValueError`."""
    if isinstance(tree, ast.BoolOp):
        results = [holds(value, facts) for value in tree.values]
        return all(results) if isinstance(tree.op, ast.And) else any(results)
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        return not holds(tree.operand, facts)
    if isinstance(tree, ast.Compare):
        sides = [tree.left, *tree.comparators]
        pairs = zip(sides, tree.ops, sides[1:], strict=False)
        results = [_compare(left, op, right, facts) for left, op, right in pairs]
        return all(results)
    return compute(tree, facts) != 0


def _compare(left: ast.expr, op: ast.cmpop, right: ast.expr, facts: Facts) -> bool:
    if isinstance(op, (ast.Eq, ast.NotEq)):
        return _equal(left, right, facts) == isinstance(op, ast.Eq)
    return _COMPARE[type(op)](compute(left, facts), compute(right, facts))


def _equal(left: ast.expr, right: ast.expr, facts: Facts) -> bool:
    left_text, right_text = _text(left, facts), _text(right, facts)
    if left_text is None and right_text is None:
        return compute(left, facts) == compute(right, facts)
    if left_text is None:
        compute(left, facts)  # a missing fact is unknown; a number is no text
        return False
    if right_text is None and isinstance(right, ast.Name) and right.id not in facts:
        right_text = right.id  # beside a text, a name that is no fact is a word: `stance == bullish`
    if right_text is None:
        compute(right, facts)
    return left_text == right_text


def _text(node: ast.expr, facts: Facts) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and node.id in facts and number(facts[node.id]) is None:
        return facts[node.id]
    return None


def _number(node: ast.expr, facts: Facts) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    if isinstance(node, ast.Name):
        return _fact(node.id, facts)
    if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
        value = _number(node.operand, facts)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_number(node.left, facts), _number(node.right, facts))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _apply(node.func.id, [_number(argument, facts) for argument in node.args])
    raise UnknownValueError


def _fact(name: str, facts: Facts) -> float:
    value = number(facts[name]) if name in facts else None
    if value is None:
        raise UnknownValueError
    return value


def _apply(function: str, values: list[float]) -> float:
    if function == "min":
        return min(values)
    if function == "max":
        return max(values)
    if function == "abs":
        return abs(values[0])
    return round(values[0], int(values[1]) if len(values) > 1 else 0)


def is_name(text: str) -> bool:
    """Tell whether `text` can be a fact's name."""
    return re.fullmatch(NAME, text) is not None
