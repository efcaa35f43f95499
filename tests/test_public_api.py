"""What a module offers is what it says that it offers, and others take no more than that."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Final

import pytest

import eventtime
from tree import ROOT, module_name, package_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def assigned(tree: ast.Module) -> Iterator[str]:
    """Name constants, type aliases and the like that a module defines at its top level."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign):
            targets: list[ast.expr] = [node.target]
        else:
            targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            yield from (leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name))


def defined(tree: ast.Module) -> Iterator[str]:
    """Name the public functions and classes of a module, kernels among them."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
            not node.name.startswith("_")
        ):
            yield node.name


def passed_on(tree: ast.Module) -> Iterator[str]:
    """Name what a package imports for others to find there, also for type checkers only."""
    blocks = [node.body for node in tree.body if isinstance(node, ast.If)]
    for node in (statement for block in (tree.body, *blocks) for statement in block):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from (alias.asname or alias.name for alias in node.names)


def listed(tree: ast.Module) -> tuple[str, ...]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and "__all__" in assigned(ast.Module([node], [])):
            names = ast.literal_eval(node.value)
            assert isinstance(names, tuple), "__all__ is a tuple"
            return names
    return ()


FILES: Final = package_files("*.py")
TREES: Final = {module_name(path): parse(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_all_lists_the_functions_and_classes_of_the_module(path: Path) -> None:
    tree = TREES[module_name(path)]
    names = listed(tree)
    offered = set(defined(tree))
    if path.name == "__init__.py":
        offered |= {name for name in passed_on(tree) if not name.startswith("_")}
    assert len(names) == len(set(names))
    assert offered <= set(names), "public, and not listed"
    assert set(names) <= offered | set(assigned(tree)), "listed, and not there"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_modules_import_from_each_other_only_what_is_listed(path: Path) -> None:
    for node in ast.walk(TREES[module_name(path)]):
        if isinstance(node, ast.ImportFrom) and node.module in TREES:
            for alias in node.names:
                if f"{node.module}.{alias.name}" not in TREES:
                    assert alias.name in listed(TREES[node.module]), (
                        f"{relative(path)}:{node.lineno} takes {alias.name} from {node.module}"
                    )


def test_every_public_name_has_a_docstring() -> None:
    names: tuple[str, ...] = vars(eventtime)["__all__"]
    for name in names:
        if name.startswith("__"):
            continue
        value = vars(eventtime).get(name) or getattr(eventtime, name)
        doc = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
        assert doc, f"eventtime.{name} says nothing of itself"
        assert not doc.startswith(f"{name}("), f"eventtime.{name} has what dataclass wrote"
