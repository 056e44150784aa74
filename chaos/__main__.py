"""Run the failure trials and print what was lost, doubled or failed: `make chaos`, `make chaos ARGS="kills inputs"`."""

import subprocess
import sys
import time

from chaos import arguments

# the folders here that have a trial.py
TRIALS = [
    "kills",
    "faults",
    "inputs",
    "archives",
    "edits",
    "served",
    "upgrades",
    "slow_clients",
    "load",
    "hostile_requests",
    "cluster",
]


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("trials", nargs="*", default=TRIALS, help=f"Trials to run, of {', '.join(TRIALS)}.")
    args = parser.parse_args()
    if unknown := sorted(set(args.trials) - set(TRIALS)):
        parser.error(f"trials must be of {', '.join(TRIALS)} (got {', '.join(unknown)}).")
    flags = ["--seed", str(args.seed), *(["--short"] if args.short else [])]
    failed = []
    for name in args.trials:
        start = time.perf_counter()
        print(f"\nchaos.{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"chaos.{name}.trial", *flags]).returncode:
            failed.append(name)
        print(f"{name} took {time.perf_counter() - start:.0f} s", flush=True)
    if failed:
        sys.exit(f"Trials with failures: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
