"""The peak of this process' resident memory, since it was last reset."""

import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def reset_peak_memory() -> None:
    """Reset the peak, where the system can (Linux)."""
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)


def peak_memory_mb() -> float:
    """Peak resident memory in MB: since the last reset, or of the whole process.

    Returns
    -------
    float
        NaN if the system does not tell.
    """
    if _STATUS.is_file():
        # Bytes: the name of the process may be cut off within a character.
        for line in _STATUS.read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource  # not on Windows
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)
