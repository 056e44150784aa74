import subprocess
import sys

import pytest

ALLOW_FILES = """
import resource
from serving import process_limits
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
print(process_limits.allow_open_files({number}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
COUNT_HEAPS = """
import ctypes, threading
from serving import process_limits
{limit}
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
waiting = threading.Barrier(9)
def allocate():
    libc.malloc(1000)
    waiting.wait()
for _ in range(8):
    threading.Thread(target=allocate).start()
waiting.wait()
stream = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, stream)
libc.fclose(stream)
"""


def output(program):
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("number", "allowed"), [(100, 100), (200, 128)])
def test_open_files_are_allowed_up_to_the_hard_limit(number, allowed):
    assert output(ALLOW_FILES.format(number=number)).split() == [str(allowed)] * 2


def test_fewer_open_files_than_are_allowed_change_nothing():
    assert output(ALLOW_FILES.format(number=10)).split() == ["10", "64"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_threads_share_two_heaps():
    assert output(COUNT_HEAPS.format(limit="process_limits.limit_heaps()")).count("<heap nr=") == 2
    assert output(COUNT_HEAPS.format(limit="")).count("<heap nr=") > 2
