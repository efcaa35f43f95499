"""Aggregates as the command line writes them, `mean(dep_delay) as delay`: read, never run."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from eventtime.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.windows.aggregate import Aggregate

__all__ = ("FUNCTIONS", "parse_aggregate", "parse_aggregates")

FUNCTIONS: Final = (
    "all", "any", "collect", "count", "count_distinct", "first", "last", "max", "mean", "min",
    "stddev", "sum", "var",
)  # fmt: skip
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*'|`[^`]*`)|(?P<sign>[(),=])|(?P<word>[^\s(),='"`]+))"""
)
_FORM: Final = "write it as 'mean(dep_delay) as delay', 'count()' or 'count(tailnum)'"


@dataclass(frozen=True)
class _Token:
    text: str
    at: int
    is_quoted: bool = False


class _Parser:
    """One aggregate being read, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[_Token] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                start = at + len(text[at:]) - len(text[at:].lstrip())
                self.fail("a quote is not closed", start, "close the quote")
            start = found.start(found.lastgroup or 0)
            quoted = found["quoted"]
            shown = quoted[1:-1] if quoted else text[start : found.end()]
            self._tokens.append(_Token(shown, start, quoted is not None))
            at = found.end()
        self._next = 0

    def fail(self, what: str, at: int, remedy: str = _FORM) -> NoReturn:
        """Raise an error that points at a place in the text."""
        msg = f"{what}\n       {self._text}\n       {' ' * at}^"
        raise PlanError(msg, place=f"--agg, character {at + 1}", remedy=remedy)

    def peek(self) -> _Token:
        """Return the next token, an empty one at the end."""
        if self._next < len(self._tokens):
            return self._tokens[self._next]
        return _Token("", len(self._text.rstrip()))

    def take(self) -> _Token:
        """Return the next token and go on."""
        token = self.peek()
        self._next += 1
        return token

    def takes(self, sign: str) -> bool:
        """Go past a sign or word if it comes next."""
        token = self.peek()
        if token.is_quoted or token.text.lower() != sign:
            return False
        self._next += 1
        return True

    def name(self, what: str) -> _Token:
        """Take a name."""
        token = self.take()
        if not token.is_quoted and token.text in {"", "(", ")", ",", "="}:
            self.fail(f"{what} is missing", token.at)
        return token


def parse_aggregate(text: str) -> tuple[str, Aggregate]:
    """Read `function(column) as name`; names with spaces or signs stand in quotes.

    Args:
        text: such as 'count()', 'mean("dep delay") as delay', 'var(x, ddof=0)'.

    Returns:
        The name of the result column (`mean_dep_delay` if none is given), and the aggregate.

    Raises:
        PlanError: unknown function, or not of this form; points at the place.

    >>> parse_aggregate("count_distinct(tailnum) as planes")[0]
    'planes'
    """
    parser = _Parser(text)
    function = _function(parser)
    if not parser.takes("("):
        parser.fail(f"'(' is missing after {function!r}", parser.peek().at)
    columns, ddof = _arguments(parser, function)
    name = "_".join([function, *(token.text for token in columns)])
    if parser.takes("as"):
        name = parser.name("the name after 'as'").text
    rest = parser.peek()
    if rest.text or rest.is_quoted:
        parser.fail(f"{rest.text!r} is too much", rest.at)
    return name, _build(parser, function, columns, ddof)


def parse_aggregates(texts: Sequence[str]) -> dict[str, Aggregate]:
    """Read several aggregates; names must differ.

    Raises:
        PlanError: see `parse_aggregate`; or two of the same name.
    """
    named: dict[str, Aggregate] = {}
    for text in texts:
        name, aggregate = parse_aggregate(text)
        if name in named:
            msg = f"two aggregates are called {name!r}"
            raise PlanError(msg, place=f"--agg {text!r}", remedy="name one with 'as …'")
        named[name] = aggregate
    return named


def _function(parser: _Parser) -> str:
    token = parser.name("the function")
    function = token.text.lower()
    if function not in FUNCTIONS:
        _refuse(parser, token, function)
    return function


def _refuse(parser: _Parser, token: _Token, function: str) -> NoReturn:
    near = difflib.get_close_matches(function, [*FUNCTIONS, *_OTHER_NAMES], n=1)
    meant = _OTHER_NAMES.get(near[0], near[0]) if near else None
    hint = f"did you mean {meant!r}? " if meant else ""
    parser.fail(
        f"{token.text!r} is no aggregate function",
        token.at,
        f"{hint}functions are {', '.join(FUNCTIONS)}",
    )


_OTHER_NAMES: Final = {
    "avg": "mean",
    "average": "mean",
    "std": "stddev",
    "variance": "var",
    "nunique": "count_distinct",
    "list": "collect",
    "array_agg": "collect",
}


def _arguments(parser: _Parser, function: str) -> tuple[list[_Token], int | None]:
    columns: list[_Token] = []
    ddof: int | None = None
    if parser.takes(")"):
        return columns, ddof
    while True:
        token = parser.name("a column")
        if parser.takes("="):
            value = parser.name(f"the value of {token.text}")
            if token.text != "ddof" or function not in {"var", "stddev"}:
                parser.fail(f"{function} takes no option {token.text!r}", token.at)
            if not value.text.isdigit():
                parser.fail(f"ddof={value.text!r} is not a number of rows", value.at, "0 or 1")
            ddof = int(value.text)
        else:
            columns.append(token)
        if parser.takes(")"):
            return columns, ddof
        if not parser.takes(","):
            parser.fail(f"',' or ')' is missing after {token.text!r}", parser.peek().at)


def _build(parser: _Parser, function: str, columns: list[_Token], ddof: int | None) -> Aggregate:
    from eventtime.windows.aggregate import Aggregate

    if len(columns) > 1:
        parser.fail(f"{function} takes one column, not {len(columns)}", columns[1].at)
    if not columns and function != "count":
        at = parser.peek().at
        parser.fail(f"{function}() needs a column", min(at, len(function) + 1))
    names = tuple(token.text for token in columns)
    return Aggregate(function, names, ddof=1 if ddof is None else ddof)
