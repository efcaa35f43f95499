"""Packs: what went in comes out, plain Arrow reads them, and no changed byte goes unnoticed."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import pyarrow as pa
import pytest

from eventtime.errors import CheckpointError
from eventtime.state.pack import MAGIC, MAJOR, Pack, PackWriter, read_pack

NUMBERS = pa.record_batch({"n": pa.array([1, None, 3])})
WORDS = pa.record_batch({"w": pa.array(["a", "b"]).dictionary_encode(), "n": pa.array([1.5, -0.0])})


def packed(*batches: pa.RecordBatch, **head: Any) -> bytes:
    """A pack whose blocks say which they are."""
    stream = io.BytesIO()
    writer = PackWriter(stream)
    for i, batch in enumerate(batches):
        writer.add(batch, kind="test", i=i)
    writer.finish(head)
    return stream.getvalue()


def read(data: bytes) -> Pack:
    return read_pack(pa.py_buffer(data), "here.savepoint")


def with_footer(data: bytes, **changes: Any) -> bytes:
    """The same blocks under a footer that was changed, with a checksum that is right."""
    length, _ = struct.unpack("<II", data[-16:-8])
    footer = json.dumps({**json.loads(data[-16 - length : -16]), **changes}).encode()
    trailer = struct.pack("<II", len(footer), zlib.crc32(footer))
    return data[: -16 - length] + footer + trailer + MAGIC


def test_what_went_in_comes_out() -> None:
    pack = read(packed(NUMBERS, WORDS, said=[1, {"so": None}]))
    assert pack.head["said"] == [1, {"so": None}]
    assert [block.batch() for block in pack.about(kind="test")] == [NUMBERS, WORDS]
    assert [block.about["rows"] for block in pack.about(i=1)] == [2]
    assert pack.about(kind="other") == []


def test_a_pack_without_blocks_is_one() -> None:
    assert read(packed()).blocks == []


def test_plain_arrow_reads_it_as_the_page_says() -> None:
    """As in docs/state-format.md: magic, blocks, footer, its length and checksum, magic."""
    data = packed(NUMBERS, WORDS)
    length, checksum = struct.unpack("<II", data[-16:-8])
    footer = data[-16 - length : -16]
    assert (data[:8], data[-8:], zlib.crc32(footer)) == (b"ETPACK\r\n", b"ETPACK\r\n", checksum)
    at = 8
    for block, batch in zip(json.loads(footer)["blocks"], (NUMBERS, WORDS), strict=True):
        assert (block["offset"], block["rows"]) == (at, batch.num_rows)
        content = data[at : at + block["length"]]
        assert zlib.crc32(content) == block["crc32"]
        assert pa.ipc.open_stream(content).read_all().to_batches() == [batch]
        at += block["length"]
    assert at == len(data) - 16 - length


def test_every_bit_counts() -> None:
    data = bytearray(packed(NUMBERS, WORDS, said="so"))
    for i in range(len(data)):
        for bit in range(8):
            data[i] ^= 1 << bit
            with pytest.raises(CheckpointError):
                read(bytes(data))
            data[i] ^= 1 << bit
    read(bytes(data))


def test_every_length_but_its_own_is_refused() -> None:
    data = packed(NUMBERS, WORDS)
    for length in range(len(data)):
        with pytest.raises(CheckpointError):
            read(data[:length])
    with pytest.raises(CheckpointError):
        read(data + b"\0")


def test_bytes_between_the_blocks_are_refused() -> None:
    data = packed(NUMBERS)
    (block,) = read(data).head["blocks"]
    end = block["offset"] + block["length"]
    with pytest.raises(CheckpointError, match=r"1 bytes of 'here.savepoint' belong to no block"):
        read(data[:end] + b"\0" + data[end:])
    with pytest.raises(CheckpointError, match="does not have its checksum"):
        read(with_footer(data, blocks=[{**block, "offset": 9}]))


@pytest.mark.parametrize(
    ("data", "what", "remedy"),
    [
        (b"", r"begins with b'', not as a savepoint does", "name a file"),
        (b"PAR1 and so on, quite long", r"begins with b'PAR1 and'", "name a file"),
        (MAGIC + b"half", "cut short or changed", "an earlier savepoint"),
    ],
)
def test_what_is_no_pack_is_refused_with_what_it_is(data: bytes, what: str, remedy: str) -> None:
    with pytest.raises(CheckpointError, match=what) as refused:
        read(data)
    assert remedy in refused.value.remedy
    assert "here.savepoint" in refused.value.place


def test_a_newer_format_is_refused_by_its_number() -> None:
    newer = with_footer(packed(NUMBERS), format={"major": MAJOR + 1, "minor": 0}, blocks="other")
    with pytest.raises(
        CheckpointError, match="is of format 2; this version of eventtime reads"
    ) as e:
        read(newer)
    assert "the version of eventtime that wrote it" in e.value.remedy


def test_what_a_newer_minor_adds_is_not_in_the_way() -> None:
    newer = with_footer(packed(NUMBERS), format={"major": MAJOR, "minor": 7}, addition=[1])
    assert read(newer).blocks[0].batch() == NUMBERS
