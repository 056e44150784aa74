"""Classify photos with a model server: python -m serving.client classify PHOTO..."""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.base import rounding, version
from components.data import images
from serving import channel, client

MAX_TIMEOUT_SECONDS = 86_400.0
ANSWER_WIDTH = 20  # characters of the answer's column


def _classify_files(
    caller: client.Client, photos: Sequence[pathlib.Path]
) -> Iterator[tuple[pathlib.Path, client.Prediction | str]]:
    """Yield each photo with its prediction, or with an error message."""
    for photo in photos:
        try:
            plain, _ = images.plain_bytes(photo.read_bytes(), decode_all=True)
            yield photo, caller.classify(plain)
        except (OSError, images.UnusablePhotoError, client.ServingRejected) as error:
            yield photo, str(error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every photo was classified, else 1."""
    args = _parse(arguments)
    try:
        return _classify(args)
    except client.ServingUnavailable as error:
        print(f"serving.client: {channel.http_error(args.target) or error}", file=sys.stderr)
    except BrokenPipeError:  # the program that reads the output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python fails again at exit
    except OSError as error:  # errors of a photo are printed with that photo
        print(f"serving.client: the output cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m serving.client", description="Classify photos with a model server.")
    parser.add_argument("--version", action="version", version=f"pilah {version.VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    classify = commands.add_parser("classify", help="Print the class of each photo.")
    classify.add_argument(
        "photos", nargs="+", type=pathlib.Path, metavar="PHOTO", help="Photo in any format that a run accepts."
    )
    classify.add_argument(
        "--target", default="localhost:8500", metavar="HOST:PORT", help="Address of the model server's gRPC port."
    )
    classify.add_argument("--model_name", default=client.MODEL_NAME, help="Name of the model on the server.")
    classify.add_argument(
        "--timeout",
        type=float,
        default=client.TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="Deadline of the call for each photo.",
    )
    classify.add_argument("--json", action="store_true", help="One line of JSON per photo instead of a table.")
    args = parser.parse_args(arguments)
    try:
        channel.check_address(args.target)
    except ValueError as error:
        parser.error(f"argument --target: {error}")
    if not 0 < args.timeout <= MAX_TIMEOUT_SECONDS:  # false for NaN
        parser.error(f"argument --timeout: must be above 0 and at most {MAX_TIMEOUT_SECONDS:g} (got {args.timeout:g}).")
    return args


def _classify(args: argparse.Namespace) -> int:
    failed = False
    width = max(len(str(photo)) for photo in args.photos)
    with client.Client(args.target, args.model_name, args.timeout) as caller:
        for photo, result in _classify_files(caller, args.photos):
            failed |= isinstance(result, str)
            print(_as_json(photo, result) if args.json else _as_row(photo, result, width), flush=True)
    return int(failed)


def _as_json(photo: pathlib.Path, result: client.Prediction | str) -> str:
    values: Mapping[str, Any] = {"error": result}
    if isinstance(result, client.Prediction):
        values = {**dataclasses.asdict(result), "certainty": result.certainty}
    return json.dumps({"photo": str(photo), **values})


def _as_row(photo: pathlib.Path, result: client.Prediction | str, width: int) -> str:
    if isinstance(result, str):
        return f"{photo!s:{width}}  not classified: {result}"
    sign, score = rounding.limit(result.score, 3)
    percentage = f"{sign}{score:.1%}"
    return f"{photo!s:{width}}  {_answer(result):{ANSWER_WIDTH}} {percentage:>6}  version {result.model_version}"


def _answer(result: client.Prediction) -> str:
    """Return the classes of the prediction set: "glass", "glass or plastic"; or that the photo is untypical."""
    if result.certainty is client.Certainty.UNTYPICAL:
        return f"untypical ({result.class_name}?)"
    *others, last = result.prediction_set or [result.class_name]
    return f"{', '.join(others)} or {last}" if others else last


if __name__ == "__main__":
    sys.exit(main())
