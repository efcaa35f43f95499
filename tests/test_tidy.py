"""Habits that no linter checks: sizes, dead modules, leftovers, words, pages."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING, Final

import pytest

from tree import ROOT, markdown_files, module_name, package_files, source_files

if TYPE_CHECKING:
    from pathlib import Path

LINES_OF_A_FILE: Final = 400
LINES_OF_A_FUNCTION: Final = 70
ONE_HOT_LOOP: Final = {("windows/assign_kernel.py", "assign"): 154}
"""One hot loop: what it knows of a slice stays in registers; splitting it costs time a row."""
LEFTOVERS: Final = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b")  # matches not itself
ENTRY_POINTS: Final = {
    "eventtime",
    "eventtime.__main__",
    "eventtime.cli.main",
    "eventtime.testing",
    "pytest_eventtime",
}
WORDS_NOT_USED: Final = {
    "windower",
    "hopping",
    "frontier",
    "tombstone",
    "grace",
    "deadletter",
}
"""The right-hand column of docs/glossary.md, as far as the words have no other use."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", source_files(), ids=relative)
def test_a_file_is_one_concept_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES_OF_A_FILE, (
        f"{relative(path)} holds more than one concept"
    )
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            most = ONE_HOT_LOOP.get((relative(path), node.name), LINES_OF_A_FUNCTION)
            assert lines <= most, f"{relative(path)}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", source_files(), ids=relative)
def test_nothing_is_left_to_do(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert not LEFTOVERS.search(line), f"{relative(path)}:{number}: {line.strip()}"


@pytest.mark.parametrize("path", source_files(), ids=relative)
def test_imports_are_absolute(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{relative(path)}:{node.lineno} imports relatively"


@pytest.mark.parametrize("path", package_files("*.py"), ids=relative)
def test_names_keep_to_the_glossary(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            words = set(re.findall(r"[A-Z]?[a-z]+", node.name))
            banned = {word.lower() for word in words} & WORDS_NOT_USED
            assert not banned, f"{relative(path)}:{node.lineno}: {node.name} says {banned}"


@pytest.mark.parametrize("name", [module_name(path) for path in package_files("*.py")])
def test_a_module_can_be_imported_alone(name: str) -> None:
    if name != "eventtime.__main__":  # which runs the command line
        assert importlib.import_module(name).__doc__


def test_every_module_is_imported_by_another() -> None:
    imported = set(ENTRY_POINTS)
    for path in package_files("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
                imported.update(f"{node.module}.{alias.name}" for alias in node.names)
    modules = {module_name(path) for path in package_files("*.py") if path.name != "__init__.py"}
    assert not modules - imported, "nobody imports them"


@pytest.mark.parametrize("path", markdown_files(), ids=relative)
def test_a_page_has_one_title(path: Path) -> None:
    prose = re.sub(
        r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert len(re.findall(r"^# ", prose, flags=re.MULTILINE)) == 1, relative(path)
