import os
import pathlib
import subprocess
import sys

from chaos import servers


def test_process_that_has_ended_has_no_memory():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # as while a trial runs, nobody has waited for it
    pids = (os.getpid(), ended.pid)
    running_mib, ended_mib = (servers.Process(0, pid, pathlib.Path(os.devnull)).resident_mib() for pid in pids)
    ended.wait()
    assert running_mib > 0 and ended_mib == 0
