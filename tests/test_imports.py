"""Imports go down the layers only, and the library is light until it works."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tree import PACKAGE_FOLDERS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

HEAVY: Final = ("numba", "click", "rich", "plotext", "pyarrow.dataset", "pyarrow.parquet", "pandas")
DRIVERS: Final = (
    "sqlite3",
    "duckdb",
    "deltalake",
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "confluent_kafka",
    "redis",
    "fastavro",
    "google.protobuf",
)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def copy_of_the_tree(folder: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in PACKAGE_FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    return folder


def test_imports_go_down_the_layers() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_that_goes_up_is_caught(tmp_path: Path) -> None:
    broken = copy_of_the_tree(tmp_path) / "state" / "__init__.py"
    broken.write_text(f"{broken.read_text()}\nimport eventtime.windows\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert "eventtime.state -> eventtime.windows" in done.stdout


def test_a_module_outside_the_layers_is_caught(tmp_path: Path) -> None:
    (copy_of_the_tree(tmp_path) / "eventtime" / "misc.py").write_text('"""Everything else."""\n')
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert "eventtime.misc" in done.stdout


def test_importing_the_library_pulls_nothing_heavy() -> None:
    code = "import sys, eventtime; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {*HEAVY, *DRIVERS} & set(done.stdout.split())
