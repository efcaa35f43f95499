"""What a module offers is what it says that it offers."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

import pytest

import eventtime
from tree import ROOT, module_name, package_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def public_files() -> list[Path]:
    return [path for path in package_files("*.py") if "._" not in module_name(path)]


def offered(tree: ast.Module, *, with_imports: bool) -> Iterator[str]:
    """Name what a module defines at its top level, and for a package what it passes on."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif with_imports and isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from (alias.asname or alias.name for alias in node.names)


def declared(tree: ast.Module) -> object:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("path", public_files(), ids=relative)
def test_all_names_what_the_module_offers(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        name
        for name in offered(tree, with_imports=path.name == "__init__.py")
        if not name.startswith("_")
    }
    listed = declared(tree)
    if not names and listed is None:
        return  # a package that is only a folder
    assert isinstance(listed, tuple), "__all__ is a tuple"
    assert len(listed) == len(set(listed))
    assert {name for name in listed if not name.startswith("_")} == names


def test_every_public_name_has_a_docstring() -> None:
    for name in eventtime.__all__:
        if name.startswith("__"):
            continue
        value = getattr(eventtime, name)
        doc = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
        assert doc, f"eventtime.{name} says nothing of itself"
        assert not doc.startswith(f"{name}("), (
            f"eventtime.{name} has the docstring that dataclass made"
        )
