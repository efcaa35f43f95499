"""The documentation runs, its links lead somewhere, and rules that are cited exist."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

import pytest

from tree import ROOT, markdown_files, package_files, source_files

if TYPE_CHECKING:
    from pathlib import Path

FLIGHTS: Final = ROOT / "eventtime" / "data" / "flights"
BLOCK: Final = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
OUTPUT: Final = re.compile(r"^```text\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def pages_with_code() -> list[Path]:
    return [path for path in markdown_files() if BLOCK.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", pages_with_code(), ids=relative)
def test_the_code_of_a_page_runs(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run the blocks of a page one after the other, in a folder that holds the bundled flights.

    The time line that the page on testing shows is the one that its code prints, to the letter.
    """
    shutil.copytree(FLIGHTS, tmp_path / "flights")
    monkeypatch.chdir(tmp_path)
    text = path.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": path.stem}
    for block in BLOCK.finditer(text):
        # The blank lines make a traceback name the line of the page.
        code = "\n" * (text[: block.start(1)].count("\n")) + block.group(1)
        exec(compile(code, relative(path), "exec"), names)
    if path.name == "testing.md":
        shown = OUTPUT.search(text)
        assert shown is not None
        assert shown.group(1) in capsys.readouterr().out


@pytest.mark.parametrize("path", markdown_files(), ids=relative)
def test_links_within_the_repository_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{relative(path)} links to {target}"


def test_the_readme_shows_what_its_example_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first block of output in the README is that of the first block of code, to the letter."""
    shutil.copytree(FLIGHTS, tmp_path / "flights")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code, shown = BLOCK.search(text), OUTPUT.search(text)
    assert code is not None
    assert shown is not None
    exec(compile(code.group(1), "README.md", "exec"), {})
    assert capsys.readouterr().out == shown.group(1)


def test_rules_that_are_cited_exist() -> None:
    page = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    rules = set(re.findall(r"^- \*\*(S\d+) ", page, flags=re.MULTILINE))
    assert rules == {f"S{number}" for number in range(1, 31)}
    for path in [*package_files("*.py"), *source_files()]:
        cited = set(re.findall(r"\bS\d{1,2}\b", path.read_text(encoding="utf-8")))
        assert cited <= rules, f"{relative(path)} cites {sorted(cited - rules)}"
