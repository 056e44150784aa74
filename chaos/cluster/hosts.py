"""Hosts in network namespaces, each with one link to a bridge in a namespace of its own. Only root can make them."""

import contextlib
import ctypes
import dataclasses
import inspect
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

NETWORK = "198.18.0"  # set aside for tests of networks (RFC 2544); it exists in the namespaces only
CLONE_NEWNET = 0x40000000
ROOT = pathlib.Path(__file__).parents[2]
FOLDER = pathlib.Path("/run/netns")
END_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Host:
    """A network namespace with a loopback and one link.

    Attributes:
        bridge: namespace of the bridge, in which the other end of the link has the name of the host.
        programs: those that were started.
    """

    name: str
    namespace: str
    address: str
    bridge: str
    programs: "list[subprocess.Popen[bytes]]" = dataclasses.field(default_factory=list, compare=False)

    def start(
        self,
        command: Sequence[object],
        log: pathlib.Path,
        variables: Mapping[str, str] | None = None,
        folder: pathlib.Path = ROOT,
        hidden: pathlib.Path | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a program, which leads a process group, and write its output to `log`.

        Args:
            variables: environment variables in addition to those of this process.
            folder: working directory.
            hidden: folder in place of which the program sees an empty one.
        """
        words = ["ip", "netns", "exec", self.namespace]
        if hidden:
            words += ["unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs "{hidden}" && exec "$@"', "sh"]
        with log.open("ab") as output:
            program = subprocess.Popen(
                [*words, *map(str, command)],
                cwd=folder,
                env={**os.environ, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.programs.append(program)
        return program

    def pids(self) -> list[int]:
        """Return the ids of all processes on this host."""
        return [int(pid) for pid in _ip("netns", "pids", self.namespace).split()]

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes on this host."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def cut(self) -> None:
        """Cut the link."""
        _ip("-n", self.bridge, "link", "set", self.name, "down")

    def mend(self) -> None:
        """Undo `cut`."""
        _ip("-n", self.bridge, "link", "set", self.name, "up")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread, and what it starts, use the network of this host during the block."""
        with pathlib.Path("/proc/thread-self/ns/net").open() as outside, (FOLDER / self.namespace).open() as inside:
            _enter(inside.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())

    @contextlib.contextmanager
    def slow(self, delay_seconds: float, bits_per_second: float) -> Iterator[None]:
        """Delay what this host sends and receives, at a limited rate, during the block.

        Its link ends in a second bridge then, and a program copies between the two, because not every kernel has netem.
        """
        program = [sys.executable, "-m", "chaos.cluster.slow_link", str(delay_seconds), str(bits_per_second)]
        _ip("-n", self.bridge, "link", "add", "slow", "type", "bridge")
        relay = subprocess.Popen(["ip", "netns", "exec", self.bridge, *program], cwd=ROOT)
        try:
            wait_until(lambda: "far" in _ip("-n", self.bridge, "-brief", "link"), END_SECONDS)
            for name, master in (("near", "bridge"), ("far", "slow"), (self.name, "slow")):
                _ip("-n", self.bridge, "link", "set", name, "up", "master", master)
            _ip("-n", self.bridge, "link", "set", "slow", "up")
            yield
        finally:
            relay.kill()
            relay.wait()
            _ip("-n", self.bridge, "link", "set", self.name, "master", "bridge")
            _ip("-n", self.bridge, "link", "delete", "slow")


@contextlib.contextmanager
def network(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Yield hosts of these names. Their processes are killed after the block, and the namespaces deleted."""
    prefix = f"pilah-{secrets.token_hex(3)}"
    bridge = f"{prefix}-bridge"
    hosts = {
        name: Host(name, f"{prefix}-{name}", f"{NETWORK}.{number}", bridge) for number, name in enumerate(names, 1)
    }
    try:
        _ip("netns", "add", bridge)
        _ip("-n", bridge, "link", "add", "bridge", "type", "bridge")
        _ip("-n", bridge, "link", "set", "bridge", "up")
        for host in hosts.values():
            _connect(host)
        yield hosts
    finally:
        for namespace in (bridge, *(host.namespace for host in hosts.values())):
            _delete(namespace)
        for host in hosts.values():
            for program in host.programs:
                program.wait(END_SECONDS)


def reason_to_skip() -> str:
    """Return why there can be no hosts here; "" if there can."""
    if os.geteuid():
        return "needs root"
    if not shutil.which("ip") or not shutil.which("unshare"):
        return "needs ip and unshare"
    try:
        with network(["host"]) as hosts, hosts["host"].slow(0, 1e9):
            return ""
    except (AssertionError, OSError) as error:
        return str(error)


def wait_until(condition: Callable[[], object], seconds: float, pause_seconds: float = 0.05) -> None:
    """Wait until `condition()` is true, which is looked at after each pause.

    Raises:
        TimeoutError: it is not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {inspect.getsource(condition).strip()}")
        time.sleep(pause_seconds)


def _connect(host: Host) -> None:
    _ip("netns", "add", host.namespace)
    peer = ["peer", "name", "eth0", "netns", host.namespace]
    _ip("-n", host.bridge, "link", "add", host.name, "type", "veth", *peer)
    _ip("-n", host.bridge, "link", "set", host.name, "up", "master", "bridge")
    _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
    for name in ("lo", "eth0"):
        _ip("-n", host.namespace, "link", "set", name, "up")


def _delete(namespace: str) -> None:
    """Kill what runs in a namespace and delete it, if it exists."""
    if not (FOLDER / namespace).exists():
        return
    deadline = time.monotonic() + END_SECONDS
    while (pids := _ip("netns", "pids", namespace).split()) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.05)
    _ip("netns", "delete", namespace)


def _ip(*words: str) -> str:
    """Return what `ip` prints.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=END_SECONDS)
    assert not done.returncode, f"ip {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns failed")
