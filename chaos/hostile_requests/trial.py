"""Thousands of hostile requests to the model server (gRPC and REST) and to the page.

Each must end in a clear status. None may crash or block a server, leave a traceback in its log, or keep its memory.
"""

import functools
import pathlib
import sys
import tempfile
from collections.abc import Callable

from chaos import arguments, outcomes, probes, servers

COUNT, SHORT_COUNT = 20_000, 150
GROWTH_MIB, GROWTH = 30.0, 1.1  # of resident memory over three quarters of the requests, above which it is not flat
Attack = Callable[[int, int], list[str]]  # (seed, number of requests) -> what was wrong


def trial(
    name: str, process: servers.Process, attack: Attack, ask: Callable[[int], str], port: int, seed: int, count: int
) -> outcomes.Outcome:
    """Send `count` hostile requests to a server, and check that it lives, answers, and has the memory that it had."""
    failures = attack(seed, count // 4)
    before = process.resident_mib()
    failures += attack(seed + 1_000_000, count - count // 4)
    after = process.resident_mib()
    print(f"{name}: memory {before:.0f} MiB after a quarter, {after:.0f} MiB at the end", flush=True)
    if (last := ask(port)) != "200":
        failures.append(f"a valid request was answered with {last} afterwards")
    if after > GROWTH * before + GROWTH_MIB:
        failures.append(f"memory grew from {before:.0f} to {after:.0f} MiB")
    if tracebacks := process.tracebacks():
        failures.append(f"{tracebacks} tracebacks in the log")
    return outcomes.Outcome(f"hostile requests, {name}", count, failures=tuple(failures))


def trials_of_model_server(model: servers.Process, seed: int, count: int) -> list[outcomes.Outcome]:
    from chaos.hostile_requests import hostile_grpc, hostile_http  # loads TensorFlow

    grpc_attack = functools.partial(hostile_grpc.attack, model)
    rest_attack = functools.partial(hostile_http.attack, model.rest_port, hostile_http.REST)
    return [
        trial("gRPC", model, grpc_attack, probes.call, model.port, seed, count),
        trial("REST", model, rest_attack, probes.rest, model.rest_port, seed, count),
    ]


def trials_of_page(page: servers.Process, seed: int, count: int) -> list[outcomes.Outcome]:
    from chaos.hostile_requests import hostile_http, hostile_page

    attack = functools.partial(hostile_http.attack, page.port, hostile_page.PAGE)
    return [trial("page", page, attack, probes.upload, page.port, seed, count)]


def main() -> int:
    args = arguments.parser(__doc__, f"{SHORT_COUNT} requests to each server.").parse_args()
    count = SHORT_COUNT if args.short else COUNT
    from chaos import small_model  # loads TensorFlow

    with (
        tempfile.TemporaryDirectory() as folder,
        servers.model_server(small_model.write(pathlib.Path(folder))) as model,
    ):
        results = trials_of_model_server(model, args.seed, count)
        with servers.page(model.port) as page:
            results += trials_of_page(page, args.seed, count)
    return outcomes.report(results)


if __name__ == "__main__":
    sys.exit(main())
