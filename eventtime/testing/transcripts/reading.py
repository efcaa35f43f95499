"""YAML with its lines: every value knows where it stands, and times are texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.timestamp import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ("TIME_REMEDY", "Entry", "TranscriptError", "read_entries")

TIME_REMEDY: Final = "write it as '00:01:30', or as '2024-03-01T12:00:00Z'"
# As YAML 1.2 has them: `yes` and `12:30` are texts.
_KINDS: Final = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        "-+0123456789.",
    ),
)
_REMEDIES: Final = (
    ("'\\t'", "use spaces, not tabs"),
    ("that cannot start any token", "put a text that begins with such a sign in quotes"),
    ("alphabetic or numeric character", "put a text that begins with such a sign in quotes"),
    (
        "expected ',' or",
        "put a text with ',' or brackets in quotes; or ',' or a bracket lacks here or above",
    ),
    (
        "expected <block end>",
        "begin this line as far to the right as those it belongs with, or with '- '",
    ),
    ("undefined alias", "put a text that begins with '*' in quotes"),
    ("another document", "write one transcript in a file, without '---' lines"),
    ("constructor for the tag", "put a text that begins with '!' in quotes"),
    (
        "",
        "put a text with ': ' in quotes; lines that belong together begin in one column",
    ),
)
"""What to do, by what the reader of YAML says."""
_TAG: Final = "tag:yaml.org,2002:"


class TranscriptError(PlanError):
    """Raised when a transcript cannot be read, or says what it must not; names file and line."""


@dataclass(frozen=True)
class Entry:
    """A value and where it stands.

    As what it is: `mapping`, `items`, `text`, `number`, `flag`, `plain`. Wrong: `refuse`.

    Args:
        value: a dict of entries by key, a list of entries, or a plain value.
        file: that it is in.
        line: from 1.
    """

    value: Any
    file: str
    line: int

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Raise an error that names the place."""
        raise TranscriptError(what, place=self.place, remedy=remedy)

    def mapping(
        self,
        what: str,
        known: Collection[str] | None = None,
        *,
        needed: Collection[str] = (),
        like: str = "",
    ) -> dict[str, Entry]:
        """Return entries by key.

        Args:
            what: it is, for messages.
            known: keys; None: any.
            needed: those that must be there.
            like: one as it is written, for messages.
        """
        if not isinstance(self.value, dict):
            names = ", ".join(f"{name}: …" for name in known or ("name",))
            self.refuse(f"{self.shown} is no {what}", f"write it as {like or f'{{{names}}}'}")
        for key, entry in self.value.items():
            if key == "<<":
                entry.refuse("'<<' takes nothing over here", "write out what is meant")
            if known is not None and key not in known:
                entry.refuse(f"{what} has no {shown(key)}", f"it has {', '.join(known)}")
        for key in needed:
            if key not in self.value:
                self.refuse(f"{what} lacks {key!r}", f"add {key}: …")
        return dict(self.value)

    def items(self, what: str, *, like: str = "one '- …' for each, or [] for none") -> list[Entry]:
        """Return the entries of a list; `like` is one as it is written."""
        if not isinstance(self.value, list):
            self.refuse(f"{self.shown} is no list of {what}", f"write {like}")
        return list(self.value)

    def names(self, what: str) -> list[str]:
        """Return a list of texts; one text is a list of one."""
        if self.value is None:
            self.refuse(f"no {what} is named", "write its name behind ':', or several: [a, b]")
        entries = self.value if isinstance(self.value, list) else [self]
        return [entry.text(what) for entry in entries]

    def text(self, what: str) -> str:
        """Return a text."""
        if not isinstance(self.value, str) or not self.value:
            self.refuse(f"{self.shown} is no {what}", "write a text; in quotes, if it has a '#'")
        return str(self.value)

    def number(self, what: str, *, least: int = EARLIEST) -> int:
        """Return a whole number."""
        is_whole = isinstance(self.value, int) and not isinstance(self.value, bool)
        if not is_whole or self.value < least:
            self.refuse(f"{self.shown} is no {what}", f"write a whole number from {least}")
        return int(self.value)

    def flag(self, what: str) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.refuse(f"{self.shown} is no {what}", "write true or false")
        return bool(self.value)

    @property
    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: entry.plain for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain for entry in self.value]
        return self.value

    @property
    def shown(self) -> str:
        """The value in a message."""
        return "nothing" if self.value is None else shown(self.plain)


def read_entries(text: str, file: str) -> Entry:
    """Read a document of YAML.

    Args:
        text: of the file.
        file: its name, for messages.

    Raises:
        TranscriptError: it is no YAML, has a key twice, or is empty.
        PlanError: PyYAML is not installed.
    """
    yaml = _yaml()
    try:
        loader = _loader(yaml)(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        msg = f"this is no YAML: character U+{error.character:04X} cannot stand in it"
        remedy = 'take it out, or write it in double quotes as "\\x00"'
        raise TranscriptError(msg, place=f"{file}:{line}", remedy=remedy) from error
    try:
        node = loader.get_single_node()
        if node is None:
            msg = "the transcript is empty"
            raise TranscriptError(msg, place=file, remedy="see docs/transcripts.md")
        return _entry(yaml, loader, node, file, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or str(error)
        remedy = next(remedy for part, remedy in _REMEDIES if part in problem)
        msg = f"this is no YAML: {problem}"
        raise TranscriptError(msg, place=f"{file}:{line}", remedy=remedy) from error
    finally:
        loader.dispose()


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        msg = "transcripts are YAML, and PyYAML is not installed"
        remedy = "pip install 'eventtime[testing]'"
        raise PlanError(msg, place="eventtime.testing", remedy=remedy) from error
    return yaml


def _loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
        yaml_implicit_resolvers: ClassVar[Any] = {}

    for kind, pattern, first in _KINDS:
        regex = re.compile(rf"(?:{pattern})\Z")
        Loader.add_implicit_resolver(f"{_TAG}{kind}", regex, [*first, *([""] * (kind == "null"))])
    return Loader


def _entry(yaml: Any, loader: Any, node: Any, file: str, above: tuple[int, ...]) -> Entry:
    line = node.start_mark.line + 1
    if id(node) in above:
        msg = "an alias stands for what it is part of"
        raise TranscriptError(msg, place=f"{file}:{line}", remedy="write it out")
    path = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            key = _entry(yaml, loader, key_node, file, path)
            if not isinstance(key.value, str):
                remedy = "put it in quotes if it is meant; numbers have a point, not a comma"
                key.refuse(f"{shown(key.plain)} is no name", remedy)
            if key.value in found:
                key.refuse(f"{key.value!r} is there twice", "take one of them out")
            value = _entry(yaml, loader, value_node, file, path)
            found[key.value] = Entry(value.value, file, key.line)
        return Entry(found, file, line)
    if isinstance(node, yaml.SequenceNode):
        return Entry([_entry(yaml, loader, one, file, path) for one in node.value], file, line)
    return Entry(loader.construct_object(node), file, line)
