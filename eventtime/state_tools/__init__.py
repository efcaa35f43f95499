"""Looking into checkpoints and savepoints, and changing them; a folder is read and never claimed.

Looking: `list_states`, `describe_state`, `verify_state`, `compare_states`. Keeping:
`savepoint_of`, `promised_by`. Changing: `export_state`, `import_state`.
"""

from __future__ import annotations

from eventtime.state_tools.comparing import Difference, compare_states
from eventtime.state_tools.describing import (
    BlocksOfKind,
    Listed,
    OpenSlice,
    PartitionState,
    StateDescription,
    Verified,
    describe_state,
    list_states,
    verify_state,
)
from eventtime.state_tools.exporting import ExportedFile, export_state, import_state
from eventtime.state_tools.savepoints import Promised, promised_by, savepoint_of

__all__ = (
    "BlocksOfKind",
    "Difference",
    "ExportedFile",
    "Listed",
    "OpenSlice",
    "PartitionState",
    "Promised",
    "StateDescription",
    "Verified",
    "compare_states",
    "describe_state",
    "export_state",
    "import_state",
    "list_states",
    "promised_by",
    "savepoint_of",
    "verify_state",
)
