"""Run all benchmarks and print how long each took: `make bench RUN=runs/thesis ARGS="--weights-dir weights"`."""

import argparse
import subprocess
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", default="runs/demo")
    parser.add_argument("--weights-dir", help="Folder of ImageNet weights; random ones are as fast.")
    parser.add_argument("--long", action="store_true", help="Longer load, more version changes, the whole search.")
    args = parser.parse_args()
    long = ["--long"] if args.long else []
    weights = ["--weights-dir", args.weights_dir] if args.weights_dir else []
    flags = {"study": weights + long, "scaling": [], "serving": long, "web": long}
    seconds_of = {}
    for name in flags:
        start = time.perf_counter()
        print(f"\nbenchmarks.{name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--run-dir", args.run_dir, *flags[name]]
        if code := subprocess.run(command).returncode:
            sys.exit(code)
        seconds_of[name] = time.perf_counter() - start
    durations = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in seconds_of.items())
    print(f"\n{sum(seconds_of.values()) / 60:.1f} minutes: {durations}")


if __name__ == "__main__":
    main()
