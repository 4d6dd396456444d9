"""A link that delays and loses packets, in user space, for kernels without `netem`.

    python -m tests.chaos.bad_link NEAR FAR COUNTS delay 40ms 10ms loss 1%

Makes the TAP devices NEAR and FAR and passes Ethernet frames between them, each way alike: every
frame waits for 40 ms plus or minus up to 10, and one of a hundred is lost. COUNTS is a file that
says how many were passed on and dropped, each second. Ends with a signal.
"""

import fcntl
import heapq
import itertools
import os
import random
import selectors
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_SET_DEVICE, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
_FRAME = 65_536


def open_tap(name: str) -> int:
    """A new TAP device's file, whose reads and writes are whole frames."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _SET_DEVICE, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
    return file


def why_no_tap() -> str | None:
    """Reason why there can be no TAP device in a namespace of one's own; None if there can."""
    return None if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "no /dev/net/tun here"


def pass_on(
    near: int, far: int, counts: Path, delay_s: float, jitter_s: float, lost: float
) -> None:
    """Pass frames from either device to the other, for ever."""
    rng, number = random.Random(0), itertools.count()
    waiting: list[tuple[float, int, int, bytes]] = []
    passed = dropped = 0
    told = 0.0
    with selectors.DefaultSelector() as ready:
        for file, other in ((near, far), (far, near)):
            ready.register(file, selectors.EVENT_READ, other)
        while True:
            now = time.monotonic()
            if now - told >= 1.0:
                counts.write_text(f"sent {passed} dropped {dropped}\n")
                told = now
            pause = min(told + 1.0, waiting[0][0] if waiting else float("inf")) - now
            for key, _ in ready.select(max(0.0, pause)):
                try:
                    frame = os.read(int(key.fd), _FRAME)
                except BlockingIOError:
                    continue
                if rng.random() < lost:
                    dropped += 1
                    continue
                due = time.monotonic() + delay_s + rng.uniform(-jitter_s, jitter_s)
                heapq.heappush(waiting, (due, next(number), key.data, frame))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, target, frame = heapq.heappop(waiting)
                try:
                    os.write(target, frame)
                    passed += 1
                except OSError:
                    dropped += 1  # A queue is full, or a device is down.


def main(arguments: Sequence[str]) -> None:
    """Disturb a link by arguments like those of `netem`: delay TIME JITTER loss PERCENT."""
    near, far, counts, *asked = arguments
    words = dict(zip(("delay", "jitter", "loss"), (asked[1], asked[2], asked[4]), strict=True))
    milliseconds = {name: float(words[name].removesuffix("ms")) for name in ("delay", "jitter")}
    files = open_tap(near), open_tap(far)
    pass_on(
        *files,
        Path(counts),
        milliseconds["delay"] / 1000,
        milliseconds["jitter"] / 1000,
        float(words["loss"].removesuffix("%")) / 100,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
