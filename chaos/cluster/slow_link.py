"""A slow link: copies frames between the network interfaces near and far, late and at a limited rate.

`python -m chaos.cluster.slow_link SECONDS BITS_PER_SECOND` makes the two interfaces in its network namespace.
"""

import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
MOST_FRAMES = 1000  # that wait; more are dropped, as by netem


def main() -> None:
    delay_seconds, bits_per_second = map(float, sys.argv[1:])
    near, far = _open("near"), _open("far")
    targets = {near: far, far: near}
    waiting = {source: collections.deque[tuple[float, bytes]]() for source in targets}  # source -> (when due, frame)
    sent = dict.fromkeys(targets, 0.0)  # source -> when its last frame has left
    while True:
        due = min((frames[0][0] for frames in waiting.values() if frames), default=None)
        readable, _, _ = select.select([*targets], [], [], None if due is None else max(0.0, due - time.monotonic()))
        for source in readable:
            frame = os.read(source, 65_536)
            if len(waiting[source]) < MOST_FRAMES:
                sent[source] = max(sent[source], time.monotonic()) + 8 * len(frame) / bits_per_second
                waiting[source].append((sent[source] + delay_seconds, frame))
        for source, frames in waiting.items():
            while frames and frames[0][0] <= time.monotonic():
                _write(targets[source], frames.popleft()[1])


def _open(name: str) -> int:
    """Return the file descriptor of a new Ethernet interface."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def _write(descriptor: int, frame: bytes) -> None:
    try:
        os.write(descriptor, frame)
    except OSError:  # the interface is down, before its first and after its last use
        return


if __name__ == "__main__":
    main()
