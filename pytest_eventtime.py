"""The pytest plugin of eventtime: fixtures, a marker, transcripts as tests, time lines of failures.

It stands beside the package, not in it: pytest loads it in every project in whose environment
eventtime is, and the library must not be loaded there before a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from eventtime.checkpoints import Checkpoints
    from eventtime.clock import ManualClock
    from eventtime.stream import Stream
    from eventtime.testing.harness import Harness

__all__ = (
    "TranscriptFile",
    "TranscriptItem",
    "checkpoints",
    "harness",
    "manual_clock",
    "pytest_collect_file",
    "pytest_configure",
    "pytest_runtest_makereport",
)

_MARKER: Final = (
    "eventtime(start=0, shards=1, memory=None): how the fixture `harness` drives pipelines in this "
    "test, unless it is told otherwise"
)
_WHY: Final = (
    "why so: .explain_row('a', 0) for the first row of partition a, .explain_row(late=0) for the "
    "first late one, .explain_window(start, key)"
)
_OPTIONS: Final = frozenset({"start", "shards", "memory"})
_NAMES: Final = (".transcript.yaml", ".transcript.yml")
_DRIVEN: Final = pytest.StashKey[list["Harness"]]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def harness(request: pytest.FixtureRequest) -> Generator[Callable[..., Harness]]:
    """Make harnesses, `harness(pipeline, partitions, …)`; see `eventtime.testing.Harness`.

    They are closed when the test is over; if it has failed, the report shows what happened to each.
    """
    from eventtime.testing.harness import Harness

    options: dict[str, Any] = {}
    # The closest comes first: what it says goes before what a class or a module says.
    for marker in request.node.iter_markers("eventtime"):
        if marker.args or not _OPTIONS.issuperset(marker.kwargs):
            pytest.fail(f"{marker!r}: write it as {_MARKER.partition(':')[0]}", pytrace=False)
        options = {**marker.kwargs, **options}
    made: list[Harness] = request.node.stash.setdefault(_DRIVEN, [])

    class Maker:
        def __call__(
            self, pipeline: Stream, partitions: Sequence[str] = ("a",), **others: Any
        ) -> Harness:
            made.append(Harness(pipeline, partitions, **{**options, **others}))
            return made[-1]

        def __getattr__(self, name: str) -> Any:
            msg = f"the fixture makes harnesses: driven = harness(pipeline), then driven.{name}"
            raise AttributeError(msg)

    yield Maker()
    for one in made:
        one.close()


@pytest.fixture
def manual_clock() -> ManualClock:
    """Return a clock at 1970 that moves when told to: `manual_clock.advance(microseconds)`."""
    from eventtime.clock import ManualClock

    return ManualClock()


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Return a folder for checkpoints, new for each test, as `run(checkpoint=…)` takes it."""
    from eventtime.checkpoints import checkpoints as folder

    return folder(tmp_path / "checkpoints")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a time line of each harness to the report of a test that failed."""
    report = yield
    if call.when == "call" and report.failed:
        driven: list[Harness] = item.stash.get(_DRIVEN, [])
        for number, one in enumerate(driven, 1):
            why = f"\n{_WHY}" if one.streams.steps else ""
            report.sections.append((f"eventtime: harness {number}", f"{one.timeline()}{why}"))
    return report


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> TranscriptFile | None:
    """Take files named `*.transcript.yaml` as tests."""
    if not file_path.name.endswith(_NAMES):
        return None
    return TranscriptFile.from_parent(parent, path=file_path)


class TranscriptFile(pytest.File):
    """A transcript, which is one test."""

    def collect(self) -> Iterable[TranscriptItem]:
        from eventtime.errors import PlanError
        from eventtime.testing.transcripts.script import load

        try:
            story = load(self.path)
        except PlanError as error:
            raise self.CollectError(str(error)) from error
        return [TranscriptItem.from_parent(self, name=story.title, story=story)]


class TranscriptItem(pytest.Item):
    """The test that a transcript is."""

    def __init__(self, *, story: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self._story = story

    def runtest(self) -> None:
        from eventtime.testing.transcripts.running import run_transcript

        run_transcript(self._story)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what the transcript says of itself; a traceback through the runner helps nobody."""
        from eventtime.errors import PlanError

        if isinstance(excinfo.value, AssertionError | PlanError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"transcript: {self.name}"
