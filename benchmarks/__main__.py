"""All benchmarks in turn and how long each took: `make bench RUN=runs/thesis ARGS="--weights-dir weights"`."""

import argparse
import subprocess
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", default="runs/demo")
    parser.add_argument("--weights-dir", help="ImageNet weights; else random ones, as fast")
    parser.add_argument("--long", action="store_true", help="longer load, more version changes, the whole search")
    given = parser.parse_args()
    long = ["--long"] if given.long else []
    weights = ["--weights-dir", given.weights_dir] if given.weights_dir else []
    flags = {"study": weights + long, "scaling": [], "serving": long, "web": long}
    took = {}
    for name in flags:
        started = time.perf_counter()
        print(f"\nbenchmarks.{name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--run-dir", given.run_dir, *flags[name]]
        if code := subprocess.run(command).returncode:
            sys.exit(code)
        took[name] = time.perf_counter() - started
    shown = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    print(f"\n{sum(took.values()) / 60:.1f} minutes: {shown}")


if __name__ == "__main__":
    main()
