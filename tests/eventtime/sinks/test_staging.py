"""Hidden names, locks and renames on the local file system."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventtime.errors import OutputExistsError, SinkError
from eventtime.sinks.local_disk import LocalDisk
from eventtime.sinks.staging import LocalFile, LocalFolder, place_error
from eventtime.testing.simulation.disk import SimulatedDisk

Tree = Callable[[Path], list[str]]
PART = "window_day=1970-01-01/part-0.csv"


def fill(staging: LocalFile | LocalFolder, name: str, text: bytes = b"new") -> None:
    with staging.stream(name) as stream:
        stream.write(text)
    staging.settle(name)


@pytest.mark.parametrize(("kind", "name"), [(LocalFile, ""), (LocalFolder, PART)])
def test_nothing_is_visible_before_it_is_published(
    kind: Any, name: str, tmp_path: Path, tree: Tree
) -> None:
    staging = kind(str(tmp_path / "out"), overwrite=False)
    fill(staging, name)
    assert all(path.startswith(".out.partial") for path in tree(tmp_path))
    staging.publish()
    assert tree(tmp_path) == [f"out/{name}".rstrip("/")]


@pytest.mark.parametrize("kind", [LocalFile, LocalFolder])
def test_a_second_run_to_the_same_target_is_refused_while_the_first_lasts(
    kind: Any, tmp_path: Path, tree: Tree
) -> None:
    path = str(tmp_path / "out")
    first = kind(path, overwrite=False)
    with pytest.raises(SinkError, match=r"(?s)another run is writing '.*/out'.*its own path"):
        kind(path, overwrite=True)
    first.discard()
    kind(path, overwrite=False).discard()
    assert tree(tmp_path) == []


@pytest.mark.parametrize("kind", [LocalFile, LocalFolder])
def test_a_place_that_cannot_be_written_shows_at_once(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(
        SinkError, match=r"(?s)the folder '.*/no' of the output .* does not exist.*mkdir -p"
    ):
        kind(str(tmp_path / "no" / "out"), overwrite=False)
    (tmp_path / "file").touch()
    with pytest.raises(
        SinkError, match=r"'.*/file', meant to hold the output '.*', is not a folder"
    ):
        kind(str(tmp_path / "file" / "out"), overwrite=False)


@pytest.mark.parametrize("kind", [LocalFile, LocalFolder])
def test_a_file_system_that_refuses_is_named_with_its_reason(kind: Any) -> None:
    # Even the superuser, as whom this may run, cannot make files there.
    with pytest.raises(SinkError, match=r"cannot write '/proc/out'|no permission|does not exist"):
        kind("/proc/out", overwrite=False)


def test_missing_permission_is_said(tmp_path: Path) -> None:
    error = place_error(str(tmp_path / "out"), PermissionError(13, "Permission denied"))
    assert str(error).startswith(f"no permission to write '{tmp_path}/out'")


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"(?s)is a folder.*partition_by='day'"):
        LocalFile(str(tmp_path), overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="is a file; a partitioned output is a folder"):
        LocalFolder(str(tmp_path / "file"), overwrite=True)


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(SinkError, match="'/dev/null' is a device or pipe"):
        LocalFile("/dev/null", overwrite=True)


def test_a_link_keeps_pointing_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "out").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "out")
    staging = LocalFile(str(tmp_path / "link"), overwrite=True)
    fill(staging, "")
    staging.publish()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "out").read_bytes() == b"new"


@pytest.mark.parametrize(("kind", "name"), [(LocalFile, ""), (LocalFolder, PART)])
def test_an_output_that_appears_meanwhile_is_not_overwritten(
    kind: Any, name: str, tmp_path: Path
) -> None:
    staging = kind(str(tmp_path / "out"), overwrite=False)
    fill(staging, name)
    other = tmp_path / "out" / name
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"theirs")
    with pytest.raises(OutputExistsError):
        staging.publish()
    staging.discard()
    assert other.read_bytes() == b"theirs"


def test_an_empty_folder_is_taken(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "out").mkdir()
    staging = LocalFolder(str(tmp_path / "out"), overwrite=False)
    fill(staging, PART)
    staging.publish()
    assert tree(tmp_path) == [f"out/{PART}"]


def test_a_folder_with_anything_else_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").touch()
    with pytest.raises(SinkError, match=r"(?s)holds 'thesis.doc', no part of.*would delete it"):
        LocalFolder(str(tmp_path / "out"), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def make_old(folder: Path) -> None:
    (folder / PART).parent.mkdir(parents=True)
    (folder / PART).write_bytes(b"old")


def test_an_old_folder_left_aside_by_a_killed_run_is_put_back(tmp_path: Path, tree: Tree) -> None:
    make_old(tmp_path / ".out.replaced")
    with pytest.raises(OutputExistsError):
        LocalFolder(str(tmp_path / "out"), overwrite=False)
    assert (tmp_path / "out" / PART).read_bytes() == b"old"
    staging = LocalFolder(str(tmp_path / "out"), overwrite=True)
    staging.discard()
    assert tree(tmp_path) == [f"out/{PART}"]


def test_an_old_folder_that_was_replaced_already_is_removed(tmp_path: Path, tree: Tree) -> None:
    make_old(tmp_path / ".out.replaced")
    make_old(tmp_path / "out")
    LocalFolder(str(tmp_path / "out"), overwrite=True).discard()
    assert tree(tmp_path) == [f"out/{PART}"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_failed_swap_puts_the_old_folder_back(
    error: BaseException, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(tmp_path / "out")
    staging = LocalFolder(str(tmp_path / "out"), overwrite=True)
    fill(staging, PART)
    replace = os.replace

    def fail_second(source: Any, target: Any) -> None:
        if str(source).endswith(".partial"):
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_second)
    with pytest.raises(type(error)):
        staging.publish()
    staging.discard()
    assert tree(tmp_path) == [f"out/{PART}"]
    assert (tmp_path / "out" / PART).read_bytes() == b"old"


@pytest.mark.parametrize(("kind", "name"), [(LocalFile, ""), (LocalFolder, PART)])
def test_a_leftover_of_the_other_kind_is_cleared(
    kind: Any, name: str, tmp_path: Path, tree: Tree
) -> None:
    left = tmp_path / ".out.partial"
    if kind is LocalFile:
        make_old(left)
    else:
        left.write_bytes(b"old")
    staging = kind(str(tmp_path / "out"), overwrite=False)
    fill(staging, name)
    staging.publish()
    assert tree(tmp_path) == [f"out/{name}".rstrip("/")]


def test_leftovers_of_any_shape_are_cleared(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / ".out.partial" / "window_day=1970-01-09").mkdir(parents=True)
    (tmp_path / ".out.partial" / "window_day=1970-01-09" / "part-0.csv").touch()
    (tmp_path / ".out.partial" / "stray").touch()
    staging = LocalFolder(str(tmp_path / "out"), overwrite=False)
    fill(staging, PART)
    staging.publish()
    assert tree(tmp_path) == [f"out/{PART}"]


def test_without_locks_on_the_file_system_one_run_still_works(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", none)
    staging = LocalFile(str(tmp_path / "out"), overwrite=False)
    fill(staging, "")
    staging.publish()
    assert tree(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", [LocalFile, LocalFolder])
def test_a_run_that_ends_between_open_and_lock_takes_nothing_along(
    kind: Any, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    lock = fcntl.flock
    calls = []

    def other_run_ends(handle: int, how: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            partial = tmp_path / ".out.partial"
            partial.rmdir() if partial.is_dir() else partial.unlink()
        lock(handle, how)

    monkeypatch.setattr("fcntl.flock", other_run_ends)
    staging = kind(str(tmp_path / "out"), overwrite=False)
    fill(staging, "" if kind is LocalFile else PART)
    staging.publish()
    assert len(calls) == 2
    assert len(tree(tmp_path)) == 1


def test_a_failed_rename_of_a_new_folder_leaves_nothing(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = LocalFolder(str(tmp_path / "out"), overwrite=False)
    fill(staging, PART)

    def fail(source: Any, target: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output"):
        staging.publish()
    staging.discard()
    assert tree(tmp_path) == []


@pytest.mark.parametrize(("kind", "name"), [(LocalFile, ""), (LocalFolder, PART)])
def test_the_lock_lasts_until_the_name_is_durable(
    kind: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    sync_folder = LocalDisk.sync_folder

    def look(disk: LocalDisk, path: str) -> None:
        sync_folder(disk, path)
        if path == str(tmp_path):
            with pytest.raises(BlockingIOError):
                disk.hold(str(tmp_path / "out"), os.O_RDONLY)
            held.append(True)

    staging = kind(str(tmp_path / "out"), overwrite=False)
    fill(staging, name)
    monkeypatch.setattr(LocalDisk, "sync_folder", look)
    staging.publish()
    assert held == [True]


def test_a_name_that_does_not_become_durable_leaves_the_next_run_its_own() -> None:
    """The hidden name is free once the file is renamed: another run may have it by then."""
    disk = SimulatedDisk()
    first = LocalFile("/out", overwrite=True, disk=disk)
    fill(first, "", b"first")
    others: list[LocalFile] = []

    def another_comes(call: str, *_: object) -> None:
        if call == "sync_folder" and not others:
            others.append(LocalFile("/out", overwrite=True, disk=disk))
            fill(others[0], "", b"second")
            raise OSError(5, "Input/output error")

    disk.before = another_comes
    with pytest.raises(OSError, match="Input/output"):
        first.publish()
    first.discard()
    others[0].publish()
    assert disk.contents() == {"/out": b"second"}


@pytest.mark.parametrize("staged", [LocalFile, LocalFolder])
@pytest.mark.parametrize("call", ["create", "close", "folders", "list"])
def test_an_interrupt_while_it_begins_leaves_nothing(
    staged: type[LocalFile | LocalFolder], call: str, tmp_path: Path
) -> None:
    """Ctrl-C behind any call, and the next run begins."""

    class Interrupted(LocalDisk):
        left = 1

        def __getattribute__(self, name: str) -> Any:
            does = super().__getattribute__(name)
            if name != call or not self.left:
                return does

            def interrupted(*given: Any) -> None:
                self.left = 0
                does(*given)
                raise KeyboardInterrupt

            return interrupted

    target = str(tmp_path / "out")
    with contextlib.suppress(KeyboardInterrupt):
        staged(target, overwrite=False, disk=Interrupted()).discard()
    assert list(tmp_path.iterdir()) == []
    staged(target, overwrite=False).discard()
