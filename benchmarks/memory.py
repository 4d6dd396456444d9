"""Peak memory of the process, for benchmarks that measure each way in a process of its own."""

import resource
from pathlib import Path


def peak_mb() -> float:
    """Largest resident memory so far, MB."""
    # Linux counts what the parent held at the fork into its child's ru_maxrss; VmHWM starts anew.
    path = Path("/proc/self/status")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    peak_kb = float(sizes[0]) if sizes else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_kb / 1024
