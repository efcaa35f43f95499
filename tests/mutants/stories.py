"""A fixed set of the property tests, run in a process of its own against a package maybe broken.

The first argument is the folder of the package, the second names the story that comes first; the
others follow if that one holds, but that of the testing kit stands alone. By the third the examples
of stories are divided, not those of the kit. Ends with 0 if all hold, with 1 if one does not.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
EXAMPLES = 80
KIT = "kit"

if TYPE_CHECKING:
    from collections.abc import Callable


def fixed(check: Callable[..., Any], drawn: Any, examples: int) -> Callable[[], None]:
    """The same examples each time, none of them made smaller."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    quiet = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=(
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.large_base_example,
        ),
    )

    def story(case: Any) -> None:
        check(case)

    return quiet(seed(19)(given(case=drawn)(story)))


def stories(share: int) -> dict[str, Callable[[], None]]:
    """Calls by name, quick ones first."""
    from live import test_following as following
    from mutants import kit
    from properties import test_broadcast as broadcast
    from properties import test_divided_slices as divided
    from properties import test_engine_chains as chains
    from properties import test_engine_cuts as checkpoints
    from properties import test_engine_invariance as invariance
    from properties import test_engine_live as live
    from properties import test_engine_process as process
    from properties import test_engine_replay as replay
    from properties import test_engine_savepoints as savepoints
    from properties import test_longer_lateness as longer
    from properties import test_memory_limits as limits
    from properties import test_replay_restores as restores
    from strategies import cases, cut_cases, schedules

    def by_hand() -> None:
        for module in (live, following, checkpoints, limits, longer, savepoints):
            for name, test in vars(module).items():
                is_test = name.startswith("test_") and not hasattr(test, "hypothesis")
                if is_test and not inspect.signature(test).parameters:
                    test()

    def by_kit() -> None:
        for check in (kit.check_drawn, kit.check_all):
            fixed(check, kit.drawn(), kit.EXAMPLES)()
        fixed(kit.check_told, kit.drawn_told(), kit.EXAMPLES)()

    some = EXAMPLES // share
    return {
        "by hand": by_hand,
        "replay": fixed(replay.check_replay, cases(), 2 * some),
        "budgets": fixed(limits.check_budgets, limits.limited(), some),
        "live": fixed(live.check_live, schedules(), 3 * some),
        "savepoints": fixed(savepoints.check_restored, savepoints.disturbed(), some),
        "restores": fixed(restores.check, restores.disturbed(), 4 * some),
        "checkpoints": fixed(checkpoints.check_cuts, checkpoints.cuts(), 4 * some),
        "longer lateness": fixed(longer.check_lengthened, longer.lengthened(), 2 * some),
        "resumed later": fixed(longer.check_resumed, longer.resumed(), some),
        "chains": fixed(chains.check_chain, chains.chains(), some),
        "filter": fixed(chains.check_filter_behind, cases(), 2 * some),
        "sums": fixed(invariance.check_sums, invariance.finite_cases(), some),
        "process": fixed(process.check_process, process.process_cases(), some),
        "live process": fixed(process.check_live_process, process.live_runs(), some),
        "process cuts": fixed(process.check_process_cuts, process.process_cases(), some // 2),
        "broadcast": fixed(broadcast.check_told, broadcast.replayed(), some // 2),
        "live broadcast": fixed(broadcast.check_live, broadcast.lives(), some),
        "cuts": fixed(invariance.check_cuts, cut_cases(), some),
        "divided": divided.test_float_sums_of_a_divided_slice_are_those_of_memory,
        KIT: by_kit,
    }


def main(folder: str, first: str, share: str) -> int:
    """Tell the first story that does not hold; of the kit alone, if that is to come first."""
    sys.path[:0] = [folder, str(TESTS)]
    sys.path.remove(str(Path(__file__).parent))
    all_of_them = stories(int(share))
    others = () if first == KIT else [name for name in all_of_them if name not in {first, KIT}]
    for name in (first, *others):
        try:
            all_of_them[name]()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it was noticed
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}")  # noqa: T201
            traceback.print_exc(limit=-2)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
