"""What the model server and the web page ask of the system when they start: open files, and few heaps."""

import ctypes
import resource

M_ARENA_MAX = -8  # from glibc's malloc.h
HEAPS = 2


def allow_open_files(number: int) -> int:
    """Raise the limit of open files to `number`, or as far as the system allows; return what is allowed of it."""
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = number if hard_limit == resource.RLIM_INFINITY else min(number, hard_limit)
    if soft_limit != resource.RLIM_INFINITY and soft_limit < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard_limit))
    return allowed


def limit_heaps() -> None:
    """Use two heaps: glibc uses up to eight per core, and one cannot reuse memory that was freed in another."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, HEAPS)
