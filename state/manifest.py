"""A manifest: the small file that makes a checkpoint of blocks which lie in packs.

`docs/state-format.md` says it byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from eventtime.errors import CheckpointError

__all__ = (
    "CLAIMS",
    "MAJOR",
    "MANIFESTS",
    "PACKS",
    "Entry",
    "Manifest",
    "Name",
    "PackFile",
    "read_manifest",
)

CLAIMS: Final = "claims"
MANIFESTS: Final = "manifests"
PACKS: Final = "packs"
MAJOR: Final = 1
_MINOR: Final = 0
_DIGEST_BYTES: Final = 16
# The digest as hexadecimal digits, and the end of its line.
_TAIL: Final = 2 * _DIGEST_BYTES + 1
_NAME: Final = re.compile(r"(0|[1-9]\d{0,17})-(0|[1-9]\d{0,17})")


class Name(NamedTuple):
    """Of a checkpoint, its manifest and its pack: the greatest is the newest.

    Args:
        token: of the process that wrote it.
        seq: number of the attempt to write one, counted on from the checkpoint that the process
            started from.

    >>> str(Name(3, 41)), Name.parse("3-41"), Name.parse("notes.txt")
    ('3-41', Name(token=3, seq=41), None)
    """

    token: int
    seq: int

    def __str__(self) -> str:
        return f"{self.token}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """Read a name; None if it is none."""
        found = _NAME.fullmatch(text)
        return None if found is None else cls(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Entry:
    """One block: what it is, and where it lies.

    Args:
        about: what it is.
        version: of what it is, to tell whether that has changed; None: not told.
        rows: of its batch.
        pack: name of the file that holds it.
        offset, length: its place there, in bytes.
        crc32: of its bytes.
    """

    about: dict[str, str | int]
    version: int | None
    rows: int
    pack: str
    offset: int
    length: int
    crc32: int


@dataclass(frozen=True)
class PackFile:
    """A pack that holds blocks of a checkpoint, others maybe too.

    Args:
        name: of the file.
        length: of the file in bytes.
        content: of that, in blocks.
    """

    name: str
    length: int
    content: int


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is made of.

    Args:
        name: of the checkpoint.
        parent: of the checkpoint before it; None for the first.
        created_at_us: processing time at which it was begun, in microseconds UTC.
        writer: who wrote it, in words.
        head: what the caller said beside the blocks.
        packs: that hold its blocks.
        entries: of all blocks.
    """

    name: Name
    parent: Name | None
    created_at_us: int
    writer: str
    head: dict[str, Any]
    packs: list[PackFile]
    entries: list[Entry]

    def encode(self) -> bytes:
        """Return the file's bytes."""
        fields = {
            "format": {"major": MAJOR, "minor": _MINOR},
            **self.name._asdict(),
            "parent": None if self.parent is None else str(self.parent),
            "created_at_us": self.created_at_us,
            "writer": self.writer,
            "packs": [vars(pack) for pack in self.packs],
            "head": self.head,
        }
        # Line by line, which lets other threads run in between.
        entries = ",\n".join(json.dumps(vars(entry)) for entry in self.entries)
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()]
        text = "{" + ",\n".join([*lines, f'"entries": [\n{entries}]']) + "}\n"
        return text.encode() + _digest(text.encode()) + b"\n"


def read_manifest(data: bytes, name: Name, place: str) -> Manifest:
    """Verify a manifest and take it apart.

    Args:
        data: the whole file.
        name: of the checkpoint.
        place: where the file is, for messages.

    Raises:
        CheckpointError: it was cut short or changed, is another one, or of a newer format.
    """
    text = data[:-_TAIL]
    if data[-_TAIL:] != _digest(text) + b"\n":
        what = f"the manifest {place!r} ({len(data)} bytes)"
        msg = f"{what} does not have its digest: it was cut short or changed"
        raise CheckpointError(msg, place=place)
    fields: dict[str, Any] = json.loads(text)
    _check_format(fields["format"]["major"], place)
    found = Name(fields["token"], fields["seq"])
    if found != name:
        msg = f"the manifest {place!r} is that of the checkpoint {found}"
        raise CheckpointError(msg, place=place)
    return Manifest(
        name=name,
        parent=None if fields["parent"] is None else Name.parse(fields["parent"]),
        created_at_us=fields["created_at_us"],
        writer=fields["writer"],
        head=fields["head"],
        packs=[_named(PackFile, pack) for pack in fields["packs"]],
        entries=[_named(Entry, entry) for entry in fields["entries"]],
    )


def _named(kind: Any, fields: dict[str, Any]) -> Any:
    # By name, so that what a newer minor version adds is passed over.
    return kind(**{field: fields[field] for field in kind.__dataclass_fields__})


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).hexdigest().encode()


def _check_format(major: int, place: str) -> None:
    if major == MAJOR:
        return
    msg = f"{place!r} is of format {major}; this version of eventtime reads format {MAJOR}"
    remedy = "go on with the version of eventtime that wrote it, or a newer one"
    raise CheckpointError(msg, place=place, remedy=remedy)
