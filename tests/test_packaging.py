"""What is built is what is in the tree: the links left out, the real folders put in."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest

from tree import PACKAGE_FOLDERS, ROOT, package_files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution, and the wheel out of it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def shipped() -> set[str]:
    """Name the files of the tree by the place that they take in the wheel."""
    names = set()
    for path in package_files():
        folder, *rest = path.relative_to(ROOT).parts
        names.add("/".join([PACKAGE_FOLDERS.get(folder, folder), *rest]))
    return names


def test_the_wheel_holds_the_files_of_the_tree_and_no_others(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == shipped()
    assert {"eventtime/py.typed", "pytest_eventtime.py"} <= names
    assert "eventtime/data/flights/JFK.parquet" in names


def test_the_source_distribution_holds_the_real_folders(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"windows/__init__.py", "state/__init__.py", "eventtime/__init__.py"} <= names
    assert {"LICENSE", "README.md", "pyproject.toml", "pytest_eventtime.py"} <= names
    links = ("eventtime/windows", "eventtime/state")
    assert not {name for name in names if f"{name}/".startswith(tuple(f"{n}/" for n in links))}


def test_the_wheel_is_imported_without_the_checkout(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path)
    code = "import eventtime, eventtime.windows, eventtime.state; print(eventtime.state.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == tmp_path / "eventtime" / "state" / "__init__.py"


PROJECT: Final = {
    "test_it.py": """\
        import pyarrow as pa
        import eventtime as et

        def test_counts(harness):
            schema = pa.schema({"t": pa.timestamp("s", "UTC")})
            marked = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
            counts = harness(marked.window(et.tumbling("1m")).aggregate(n=et.count()))
            assert counts.watermark == "-inf"
        """,
    "it.transcript.yaml": """\
        transcript: 1
        title: A slide with gaps
        refused: slide
        pipeline:
          columns: {t: time}
          watermark: ascending
          window: {sliding: 1m, slide: 2m}
          aggregate: {n: count}
        """,
}


def test_the_plugin_of_the_wheel_is_found_by_pytest(built: Path, tmp_path: Path) -> None:
    """Installed, nothing else is needed: the fixture is there, and transcripts are tests.

    No rows come: kernels would be compiled anew.
    """
    place, project = tmp_path / "installed", tmp_path / "project"
    project.mkdir()
    for name, text in PROJECT.items():
        (project / name).write_text(dedent(text), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    wheel = str(next(built.glob("*.whl")))
    command = [*pip, "--no-compile", "--target", str(place), wheel]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        env={**os.environ, "PYTHONPATH": str(place)},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
