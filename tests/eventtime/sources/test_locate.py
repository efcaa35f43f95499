"""From paths to partitions: files, folders, globs, URIs, hive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import fs
from pyarrow import parquet as pq

from eventtime.errors import ColumnError, PlanError, SchemaError, SourceError
from eventtime.sources import by_column
from sourcing import parquet_source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two hive folders of two files, with things in between that are no data."""
    for year, city in ((2023, "New%20York"), (2024, "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"year={year}" / f"city={city}"
        folder.mkdir(parents=True)
        for part in range(2):
            table = pa.table({"t": [year, year + part], "k": ["u", "v"]})
            pq.write_table(table, folder / f"part{part}.parquet")
        (folder / "_SUCCESS").write_text("")
        (folder / ".hidden.parquet").write_text("no")
        (folder / "notes.txt").write_text("no")
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "_temporary" / "half.parquet").write_text("no")
    return tmp_path


def test_a_folder_is_read_with_its_subfolders_and_without_hidden_files(
    tree: Path, read_all: Any
) -> None:
    found = read_all(parquet_source(tree, time="t"))
    assert list(found) == [
        "year=2023/city=New%20York/part0.parquet",
        "year=2023/city=New%20York/part1.parquet",
        "year=2024/city=__HIVE_DEFAULT_PARTITION__/part0.parquet",
        "year=2024/city=__HIVE_DEFAULT_PARTITION__/part1.parquet",
    ]


def test_path_segments_become_columns(tree: Path, read_all: Any) -> None:
    source = parquet_source(tree, time="t")
    expected = pa.schema(
        [("t", pa.int64()), ("k", pa.string()), ("year", pa.int64()), ("city", pa.string())]
    )
    assert source.schema().equals(expected)
    first, *_, last = read_all(source, ["city", "year"]).values()
    assert first == [{"city": "New York", "year": 2023}] * 2
    assert last == [{"city": None, "year": 2024}] * 2


def test_types_of_path_columns_can_be_set_and_left_out(tree: Path) -> None:
    typed = parquet_source(tree, time="t", hive={"year": pa.string()})
    assert typed.schema().field("year").type == pa.string()
    assert parquet_source(tree, time="t", hive=False).schema().names == ["t", "k"]
    with pytest.raises(SchemaError, match=r"city=New York in the path is not a int64"):
        parquet_source(tree, time="t", hive={"city": pa.int64()}).open(None, 10)[0].read()


def test_leading_zeros_make_a_name_and_not_a_number(tmp_path: Path) -> None:
    (tmp_path / "month=01").mkdir()
    pq.write_table(pa.table({"t": [1]}), tmp_path / "month=01" / "a.parquet")
    assert parquet_source(tmp_path, time="t").schema().field("month").type == pa.string()


def test_a_key_in_one_path_only_is_refused(tree: Path) -> None:
    pq.write_table(pa.table({"t": [1], "k": ["u"]}), tree / "alone.parquet")
    with pytest.raises(
        SchemaError, match=r"has city=…, but that of .*alone\.parquet|alone\.parquet"
    ):
        parquet_source(tree, time="t").schema()


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("year=2023/*/part0.parquet", 1),
        ("year=*", 4),
        ("**/*.parquet", 4),
        ("**/part[1].parquet", 2),
        ("year=202?/**/part0.parquet", 2),
        ("**/.hidden*", 2),
    ],
)
def test_globs_find_files_and_folders(tree: Path, pattern: str, files: int) -> None:
    from eventtime.sources.locate import locate

    assert len(locate([str(tree / pattern)], None, (".parquet",), hive=True)) == files
    inner = fs.SubTreeFileSystem(str(tree), fs.LocalFileSystem())
    assert len(locate([pattern], inner, (".parquet",), hive=True)) == files


def test_a_file_named_like_a_glob_is_itself(tmp_path: Path, read_all: Any) -> None:
    pq.write_table(pa.table({"t": [1]}), tmp_path / "a[1].parquet")
    assert list(read_all(parquet_source(tmp_path / "a[1].parquet", time="t"))) == ["a[1].parquet"]


def test_a_file_named_twice_is_read_once(tree: Path, read_all: Any) -> None:
    source = parquet_source([tree, tree / "year=2023", tree / "**" / "part0.parquet"], time="t")
    assert sum(len(rows) for rows in read_all(source).values()) == 8


def test_a_file_uri_is_read(tree: Path, read_all: Any) -> None:
    assert len(read_all(parquet_source(f"file://{tree}/year=2023", time="t"))) == 2


def test_relative_paths_are_found(
    tree: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert (
        len(read_all(parquet_source(["year=2023", os.path.join(".", "year=2024")], time="t"))) == 4
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nope.parquet", r"there is no file or folder '.*nope\.parquet'"),
        ("*.nope", r"no file matches '.*\*\.nope'"),
        ("empty", r"the folder '.*empty' holds no \.parquet .*, but 1 other"),
        ("nope://bucket/x", r"the URI 'nope://bucket/x' cannot be opened"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("")
    full = path if "://" in path else str(tmp_path / path)
    with pytest.raises(SourceError, match=message) as caught:
        parquet_source(full, time="t").schema()
    assert caught.value.remedy


def test_two_file_systems_are_refused(tree: Path) -> None:
    source = parquet_source([tree, "mock:///x"], time="t")
    with pytest.raises(SourceError, match="'mock:///x' is on another file system"):
        source.schema()


@pytest.mark.parametrize("paths", [[], 7, [7], None])
def test_paths_of_another_kind_are_refused(paths: Any) -> None:
    with pytest.raises(PlanError, match="paths"):
        parquet_source(paths, time="t")


def test_each_folder_can_be_a_partition(tree: Path, read_all: Any) -> None:
    found = read_all(parquet_source(tree, time="t", partition_by="folder"), ["t"])
    assert list(found) == [
        "year=2023/city=New%20York",
        "year=2024/city=__HIVE_DEFAULT_PARTITION__",
    ]
    assert [row["t"] for row in found["year=2023/city=New%20York"]] == [2023, 2023, 2023, 2024]


def test_a_single_folder_is_named_by_itself(tree: Path, read_all: Any) -> None:
    source = parquet_source(tree / "year=2023", time="t", partition_by="folder")
    assert list(read_all(source)) == ["city=New%20York"]


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("k", ["k=u", "k=v"]),
        ("year", ["year=2023", "year=2024"]),
        ("city", ["city is null", "city=New York"]),
    ],
)
def test_each_value_of_a_column_can_be_a_partition(
    tree: Path, read_all: Any, column: str, names: list[str]
) -> None:
    source = parquet_source(tree, time="t", partition_by=by_column(column))
    found = read_all(source)
    assert list(found) == names
    for rows in found.values():
        assert len(rows) == 4
        assert len({row[column] for row in rows}) == 1
    assert [list(row) for row in read_all(source, ["t"])[names[0]]] == [["t"]] * 4


def test_a_partition_column_must_exist_and_name_things(tree: Path) -> None:
    with pytest.raises(ColumnError, match="there is no column 'x'") as caught:
        parquet_source(tree, time="t", partition_by=by_column("x")).open(None, 10)
    assert "t, k, year, city" in caught.value.remedy
    pq.write_table(pa.table({"t": [1], "x": [1.5]}), tree / "f.parquet")
    with pytest.raises(ColumnError, match="column 'x' is double"):
        parquet_source(tree / "f.parquet", time="t", partition_by=by_column("x")).open(None, 10)
    with pytest.raises(PlanError, match="partition_by='day' is unknown"):
        parquet_source(tree, time="t", partition_by="day")  # type: ignore[arg-type]


def test_too_many_values_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": range(2000)}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match="column 't' has more than 1,024 different values"):
        parquet_source(tmp_path, time="t", partition_by=by_column("t")).open(None, 10)


def test_descriptions_are_equal_and_hash_by_what_they_say(tree: Path) -> None:
    first = parquet_source(tree, time="t", partition_by=by_column("k"))
    again = parquet_source(str(tree), time="t", partition_by=by_column("k"))
    first.schema()
    assert first == again
    assert hash(first) == hash(again)
    assert first != parquet_source(tree, time="t")
    assert first.describe() == f"parquet: {tree}; partition by by_column('k'); time=t"


def test_a_column_that_does_not_exist_is_refused(tree: Path) -> None:
    with pytest.raises(ColumnError, match="there is no column 'nope'"):
        parquet_source(tree, time="t").open(["t", "nope"], 10)


def test_a_file_counts_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "day=1").mkdir(parents=True)
    for name in ("day=1/x.parquet", "day=1/y.parquet"):
        pq.write_table(pa.table({"t": [1, 2]}), data / name)
    (data / "a.parquet").symlink_to(data / "day=1" / "x.parquet")
    (data / "day=latest").symlink_to(data / "day=1")
    (tmp_path / "link").symlink_to(data)
    outside = tmp_path / "z.parquet"
    pq.write_table(pa.table({"t": [3]}), outside)
    (data / "day=1" / "z.parquet").symlink_to(outside)

    def found(*paths: Path) -> list[str]:
        readers = parquet_source(list(paths), time="t", hive=False).open(None, 10)
        return [reader.name for reader in readers]

    assert found(data) == ["x.parquet", "y.parquet", "z.parquet"]
    assert found(data / "day=1" / "x.parquet", data / "a.parquet") == ["x.parquet"]
    assert len(found(data, tmp_path / "link", outside)) == 3
    assert parquet_source(data, time="t", hive=False).total_rows() == 5
    (data / "a.parquet").unlink()
    (data / "day=1" / "z.parquet").unlink()
    assert parquet_source(data, time="t").schema().field("day").type == pa.int64()


@pytest.mark.parametrize(
    ("given", "path", "would"),
    [
        ("in", "in/out.parquet", True),
        ("in", "in/deep/out.PARQUET", True),
        ("in", "in/out.csv", False),
        ("in", "in/_out/out.parquet", False),
        ("in", "inner/out.parquet", False),
        ("in/a.parquet", "in/out.parquet", False),
        ("link", "in/out.parquet", True),
        ("in/*.parquet", "in/out.parquet", True),
        ("in/*.parquet", "in/_out.parquet", False),
        ("in/*.parquet", "in/deep/out.parquet", False),
        ("in/**/*.parquet", "in/deep/er/out.parquet", True),
        ("in/**", "in/deep/out.parquet", True),
        ("link/*", "in/out.txt", True),
        ("i?", "in/deep/out.parquet", True),
        ("i?", "in/deep/out.txt", False),
        ("s3://in", "in/out.parquet", False),
    ],
)
def test_whether_an_output_would_be_read_the_next_time(
    tmp_path: Path, given: str, path: str, *, would: bool
) -> None:
    (tmp_path / "in" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for name in ("a.parquet", "deep/er/b.parquet"):
        pq.write_table(pa.table({"t": [1]}), tmp_path / "in" / name)
    source = parquet_source(given if "://" in given else tmp_path / given, time="t")
    assert source.would_read(str(tmp_path.resolve() / path)) is would
    if would:
        output = tmp_path / path
        output.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"t": [1]}), output)
        again = parquet_source(tmp_path / given, time="t").local_paths()
        assert [p for p in again if p.endswith(path.split("/", 1)[1])]


def test_a_pipe_is_refused_and_passed_over_by_a_glob(tmp_path: Path) -> None:
    """To open it would wait for its writer, and its bytes are there once only."""
    os.mkfifo(tmp_path / "a.jsonl")
    from eventtime.sources.locate import locate

    (tmp_path / "b.jsonl").write_text("{}")
    with pytest.raises(SourceError, match="is a pipe or a device, which cannot be read twice"):
        locate([str(tmp_path / "a.jsonl")], None, (".jsonl",), hive=False)
    found = locate([str(tmp_path / "*.jsonl")], None, (".jsonl",), hive=False)
    assert [file.path for file in found] == [str(tmp_path / "b.jsonl")]
