"""The files of the repository, as the tests over the repository itself see them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = (
    "PACKAGE_FOLDERS",
    "PLUGIN",
    "ROOT",
    "markdown_files",
    "module_name",
    "package_files",
    "source_files",
)

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE_FOLDERS: Final = {
    "eventtime": "eventtime",
    "windows": "eventtime/windows",
    "state": "eventtime/state",
}
"""Folders that ship, by the place that they take in the wheel."""
PLUGIN: Final = ROOT / "pytest_eventtime.py"
"""Ships beside them."""

_LINKS: Final = (ROOT / "eventtime" / "windows", ROOT / "eventtime" / "state")
_NOT_OURS: Final = {"__pycache__", ".venv", "dist", "build"}


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob(pattern)
        if path.is_file()
        and not _NOT_OURS.intersection(path.relative_to(ROOT).parts)
        and not any(path.is_relative_to(link) for link in _LINKS)
    )


def package_files(pattern: str = "*") -> list[Path]:
    """List what ships, each file once, under its real folder."""
    files = [path for folder in PACKAGE_FOLDERS for path in _files(ROOT / folder, pattern)]
    return [*files, PLUGIN] if PLUGIN.match(pattern) else files


def source_files() -> list[Path]:
    """List all Python files: what ships, tests and benchmarks."""
    return (
        package_files("*.py") + _files(ROOT / "tests", "*.py") + _files(ROOT / "benchmarks", "*.py")
    )


def markdown_files() -> list[Path]:
    """List all pages: at the root, in the documentation and beside the code."""
    return sorted(ROOT.glob("*.md")) + [
        path
        for folder in (*PACKAGE_FOLDERS, "docs", "tests", "benchmarks")
        for path in _files(ROOT / folder, "*.md")
    ]


def module_name(path: Path) -> str:
    """Name the module that a file of the package is imported as.

    >>> module_name(ROOT / "windows" / "grid.py"), module_name(ROOT / "eventtime" / "__init__.py")
    ('eventtime.windows.grid', 'eventtime')
    """
    if path == PLUGIN:
        return PLUGIN.stem
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    parts = [*PACKAGE_FOLDERS[folder].split("/"), *rest]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
