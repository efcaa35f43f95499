"""Saved state as Parquet files that anybody reads, and changed ones as a savepoint again."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.checks import check_flag
from eventtime.errors import CheckpointError, OutputExistsError, SinkError
from eventtime.savepoint import write_savepoint
from eventtime.sinks.files import path_of
from eventtime.state.schemas import schema_from_text, schema_in_text
from eventtime.state_tools.opening import open_state
from eventtime.state_tools.savepoints import head_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyarrow.fs import FileSystem

    from eventtime.state.pack import PackWriter
    from eventtime.state_tools.opening import SavedState
    from eventtime.state_tools.readable import WindowTables

__all__ = ("MANIFEST", "ExportedFile", "export_state", "import_state")

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1


@dataclass(frozen=True)
class ExportedFile:
    """One file of an export.

    Args:
        name: of it.
        about: of the block that it is; for a window: the operator and the kind of blocks.
        rows: in it.
        blocks: that it is made of.
        schema: of these, as text.
    """

    name: str
    about: dict[str, Any]
    rows: int
    blocks: int
    schema: str


def export_state(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    at: int | None = None,
    filesystem: FileSystem | None = None,
) -> list[ExportedFile]:
    """Write a checkpoint or savepoint as Parquet files and a manifest, for reading and changing.

    Of each window there are up to three tables: `slice` (open slices of time), `corrections` and
    `closed_window`. Their columns: `_at` (index of the slice, or end of the window), `_start` and
    `_end` (timestamps), the key columns under their names, `_rows` (rows folded), and accumulators
    as `column.what`: `x.sum` (decimal128(38) of whole numbers), `x.nulls`, `x.min`, ...;
    `name.contents` where an aggregate keeps more than numbers. Everything else is written block by
    block, as it is: keyed state, rows held back, outputs not published.

    Args:
        path: of a folder of checkpoints, or of a savepoint; or a URI.
        folder: on this machine, new or empty.
        at: number of the checkpoint; None: the newest.
        filesystem: of pyarrow or fsspec, for `path`.

    Returns:
        The files.

    Raises:
        CheckpointError: nothing is there, or it is damaged.
        OutputExistsError: the folder holds files.
        SinkError: it cannot be written.

    Cost: all state goes through memory, one window at a time.
    """
    state = open_state(path, at=at, filesystem=filesystem)
    if not state.is_begun:
        msg = f"checkpoint {state.number} in {state.place!r} is of a job that has not begun"
        raise CheckpointError(msg, place=state.place, remedy="wait for its next one")
    target = path_of(folder)
    _check_empty(target)
    try:
        os.makedirs(target, exist_ok=True)
        files = list(_exported(state, target))
        manifest = {
            "eventtime_export": _FORMAT,
            "kind": state.kind,
            "head": head_of(state),
            "files": [vars(file) for file in files],
        }
        with open(os.path.join(target, MANIFEST), "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
    except BaseException as error:
        # It was not there, or empty.
        shutil.rmtree(target, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        msg = f"cannot write the export {target!r}: {error.strerror or error}"
        raise SinkError(msg, place=target, remedy="check space and permissions") from error
    return files


def import_state(
    folder: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    filesystem: FileSystem | None = None,
) -> int:
    """Make a savepoint of an export, maybe changed; what is not changed comes back to the bit.

    Values, rows and keys of windows may be changed, rows added and left out. That they fit together
    is for who changes them to see to: the ledger, for one, is not changed along.

    Args:
        folder: that `export_state` wrote.
        path: of the savepoint, or a URI; for `run(start_from=…)` if a run was exported, for
            `Engine.restore` if an engine was.
        overwrite: replace a file that is there.
        filesystem: of pyarrow or fsspec, for `path`.

    Returns:
        How many rows it holds.

    Raises:
        CheckpointError: the folder is no export, a file is missing, or a table has other columns,
            types or keys than it may have.
        OutputExistsError: the file is there. SinkError: it cannot be written.
    """
    check_flag(overwrite, place="overwrite=…")
    source = path_of(folder)
    manifest = _manifest(source)
    rows = 0

    def fill(pack: PackWriter) -> dict[str, Any]:
        nonlocal rows
        for about, batch in _imported(source, manifest):
            rows += batch.num_rows
            pack.add(batch, None, **about)
        head: dict[str, Any] = manifest["head"]
        return head

    write_savepoint(path, filesystem, fill, overwrite=overwrite)
    return rows


def _exported(state: SavedState, target: str) -> Iterator[ExportedFile]:
    from eventtime.state_tools.readable import WINDOW_KINDS, WindowTables

    done: set[tuple[int | None, str]] = set()
    for i, operator in enumerate(state.head["operators"]):
        if "window" not in operator:
            continue
        tables = WindowTables(operator["window"])
        tables.know_keys(state.about(operator=i, kind="keys"))
        done.update((i, kind) for kind in ("keys", *WINDOW_KINDS))
        for kind in WINDOW_KINDS:
            blocks = [block for block in state.about(operator=i, kind=kind) if block.rows]
            if blocks:
                about: dict[str, Any] = {"operator": i, "kind": kind}
                table = tables.table(kind, blocks)
                schema = blocks[0].batch().schema
                yield _written(target, f"window-{i + 1}-{kind}", about, table, len(blocks), schema)
    for n, block in enumerate(state.blocks):
        if (block.about.get("operator"), block.about["kind"]) not in done:
            batch = block.batch()
            table = pa.Table.from_batches([batch])
            name = f"block-{n}-{block.about['kind']}"
            yield _written(target, name, block.about, table, 1, batch.schema)


def _written(
    target: str, name: str, about: dict[str, Any], table: pa.Table, blocks: int, schema: pa.Schema
) -> ExportedFile:
    import pyarrow.parquet as pq

    file = f"{name}.parquet"
    pq.write_table(table, os.path.join(target, file), compression="zstd")
    return ExportedFile(file, about, table.num_rows, blocks, schema_in_text(schema))


def _imported(
    source: str, manifest: dict[str, Any]
) -> Iterator[tuple[dict[str, str | int], pa.RecordBatch]]:
    from eventtime.state_tools.readable import WINDOW_KINDS, WindowTables

    windows: dict[int, WindowTables] = {}
    for known in manifest["files"]:
        file = ExportedFile(**known)
        place, schema = os.path.join(source, file.name), schema_from_text(file.schema)
        table, about = _read(place), file.about
        if about["kind"] not in WINDOW_KINDS:
            yield about, _block(table, schema, place)
            continue
        operator = int(about["operator"])
        if operator not in windows:
            shape = manifest["head"]["operators"][operator]["window"]
            windows[operator] = WindowTables(shape)
        for at, batch in windows[operator].blocks(about["kind"], table, schema, place):
            yield {**about, "at": at, "shard": 0}, batch
    for operator, tables in windows.items():
        for about, batch in tables.key_blocks():
            yield {"kind": "keys", "operator": operator, **about}, batch


def _block(table: pa.Table, schema: pa.Schema, place: str) -> pa.RecordBatch:
    try:
        batch: pa.RecordBatch = pa.concat_batches(
            table.cast(schema).to_batches() or [_none(schema)]
        )
    except (pa.ArrowException, ValueError) as error:
        msg = f"the table has other columns or types than before: {error}"
        remedy = f"keep to {', '.join(map(str, schema))}"
        raise CheckpointError(msg, place=place, remedy=remedy) from error
    return batch


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)


def _read(place: str) -> pa.Table:
    import pyarrow.parquet as pq

    try:
        return pq.read_table(place, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        msg = f"cannot read {place!r} of the export: {error}"
        remedy = "put it back, or export again"
        raise CheckpointError(msg, place=place, remedy=remedy) from error


def _manifest(source: str) -> dict[str, Any]:
    place = os.path.join(source, MANIFEST)
    try:
        with open(place, encoding="utf-8") as file:
            manifest: dict[str, Any] = json.load(file)
        found = manifest["eventtime_export"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{source!r} holds no export: {error}"
        remedy = "name a folder that eventtime checkpoint export wrote"
        raise CheckpointError(msg, place=place, remedy=remedy) from error
    if found != _FORMAT:
        msg = f"{place!r} is of format {found}; this version of eventtime reads format {_FORMAT}"
        remedy = "import it with the version of eventtime that wrote it, or a newer one"
        raise CheckpointError(msg, place=place, remedy=remedy)
    return manifest


def _check_empty(target: str) -> None:
    if "://" in target:
        msg = f"{target!r} is no folder on this machine"
        raise SinkError(msg, place=target, remedy="export to a folder here, and copy it")
    if os.path.lexists(target) and not os.path.isdir(target):
        msg = f"{target!r} is a file"
        raise OutputExistsError(msg, place=target, remedy="name a new folder")
    if os.path.isdir(target) and os.listdir(target):
        msg = f"the folder {target!r} holds files already"
        raise OutputExistsError(msg, place=target, remedy="name a new folder")
