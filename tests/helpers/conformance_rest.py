"""The rows of the conformance table over REST."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any
from unittest import mock

import conformance_both
import conformance_calls as calls
import conformance_grpc

ANYTHING = mock.ANY
NAN, INFINITY = float("nan"), float("inf")
SCALE, SIGNATURES, STRINGS = "scale:predict", "signatures:predict", "strings:predict"
B64 = base64.b64encode(b"\xff\x00").decode()
GZIP = gzip.compress(b'{"instances": [1.0]}')
Body = str | bytes | Mapping[str, Any]


def answered(id: str, path: str, body: Body, answer: Any, **more: Any) -> calls.Row:
    return calls.Row(id, calls.post(path, body), 200, answer, **more)


def refused(id: str, path: str, body: Body, message: str, status: int = 400, **more: Any) -> calls.Row:
    return calls.Row(id, calls.post(path, body), status, message=message, **more)


def get_answered(id: str, path: str, answer: Any, **more: Any) -> calls.Row:
    return calls.Row(id, calls.get(path), 200, answer, **more)


def get_refused(id: str, path: str, status: int, message: str) -> calls.Row:
    return calls.Row(id, calls.get(path), status, message=message)


def gzip_answered(id: str, body: bytes, encoding: str = "gzip") -> calls.Row:
    request = calls.Http("POST", f"/v1/models/{SCALE}", body, encoding)
    return calls.Row(id, request, 200, {"predictions": [3.0]})


def gzip_refused(id: str, body: bytes) -> calls.Row:
    request = calls.Http("POST", f"/v1/models/{SCALE}", body, "gzip")
    return calls.Row(id, request, 400, message="JSON Parse error: The document is empty")


def malformed(id: str, request: calls.Http) -> calls.Row:
    return calls.Row(id, request, 400, message=f"Malformed request: {request.method} {request.path}")


def numbers(dtype: str, instances: str) -> tuple[str, str]:
    """Return the path and body of a call that returns its numbers unchanged."""
    return "dtypes:predict", f'{{"signature_name": "{dtype}", "instances": {instances}}}'


def strings(signature: str, instances: str) -> tuple[str, str]:
    return STRINGS, f'{{"signature_name": "{signature}", "instances": {instances}}}'


def combine(key: str, value: str) -> tuple[str, str]:
    """Return the path and body of a call with the inputs a and b."""
    return SIGNATURES, f'{{"signature_name": "combine", "{key}": {value}}}'


def wrong_type(kind: str, dtype: str) -> str:
    return f"Type: {kind} is not of expected type: {dtype}"


def statuses(*versions: int) -> dict[str, Any]:
    ok = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [{"version": str(version), "state": "AVAILABLE", "status": ok} for version in versions]
    }


def metadata_row(id: str, path: str, version: int) -> calls.Row:
    """Return a row with the metadata of the model "scale", without the names of its tensors."""
    info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}}
    default = {"inputs": {"x": info}, "outputs": {"y": info}, "method_name": "tensorflow/serving/predict"}
    spec = {"name": "scale", "signature_name": "", "version": str(version)}
    return get_answered(
        id, path, [spec, [conformance_grpc.INIT_SIGNATURE, "serving_default"], default], extract=_signatures
    )


def _signatures(body: Any) -> Any:
    named = body["metadata"]["signature_def"]["signature_def"]
    default = {"method_name": named["serving_default"]["method_name"]}
    for kind in ("inputs", "outputs"):
        infos = named["serving_default"][kind]
        default[kind] = {
            name: {key: value for key, value in info.items() if key != "name"} for name, info in infos.items()
        }
    return [body["model_spec"], sorted(named), default]


ANSWERED = [
    answered("instances", SCALE, '{"instances": [1.0, 2]}', {"predictions": [3.0, 6.0]}),
    answered("instances_by_name", SCALE, '{"instances": [{"x": 1.0}, {"x": 2.0}]}', {"predictions": [3.0, 6.0]}),
    answered("instances_of_version", "scale/versions/2:predict", '{"instances": [1.0]}', {"predictions": [2.0]}),
    answered("instances_of_label", "scale/labels/stable:predict", '{"instances": [1.0]}', {"predictions": [2.0]}),
    answered("further_keys", SCALE, '{"instances": [1.0], "note": null}', {"predictions": [3.0]}),
    answered("empty_signature_name", SCALE, '{"signature_name": "", "instances": [1.0]}', {"predictions": [3.0]}),
    answered("lists", SIGNATURES, '{"instances": [[1, 2, 3], [4, 5, 6]]}', {"predictions": [6.0, 15.0]}),
    answered(
        "lists_out",
        SIGNATURES,
        '{"signature_name": "pairs", "instances": [1.0, 2.0]}',
        {"predictions": [[1.0, -1.0], [2.0, -2.0]]},
    ),
    answered(
        "several_inputs_and_outputs",
        *combine("instances", '[{"a": 5, "b": 1}, {"b": 2, "a": 7}]'),
        {"predictions": [{"sum": 6.0, "difference": 4.0}, {"sum": 9.0, "difference": 5.0}]},
    ),
    answered("plain_inputs", SCALE, '{"inputs": [1.0, 2.0]}', {"outputs": [3.0, 6.0]}),
    answered(
        "scalar_for_list",
        SCALE,
        '{"inputs": 2.0}',
        {"outputs": 6.0},
        batching=(400, "Batching Run() input tensors must have at least one dimension"),
    ),
    answered("further_inputs", SCALE, '{"inputs": {"x": [1.0], "z": [1.0]}}', {"outputs": [3.0]}),
    answered("escaped_name", "%73cale:predict", '{"instances": [1.0]}', {"predictions": [3.0]}),
    answered("query", f"{SCALE}?key=value", '{"instances": [1.0]}', {"predictions": [3.0]}),
    answered("text", *strings("echo", '["a", "\\u00e9水"]'), {"predictions": ["a", "é水"]}),
    answered("base64", *strings("echo", '[{"b64": "aGk="}, "there"]'), {"predictions": ["hi", "there"]}),
    answered("base64_by_name", *strings("echo", '[{"text": {"b64": "aGk="}}]'), {"predictions": ["hi"]}),
    answered("base64_without_padding", *strings("echo", '[{"b64": "aGk"}]'), {"predictions": ["hi"]}),
    answered(
        "base64_inputs",
        STRINGS,
        '{"signature_name": "echo", "inputs": {"text": [{"b64": "aGk="}]}}',
        {"outputs": ["hi"]},
    ),
    answered("length_of_text", *strings("length", '["é", {"b64": "aGk="}]'), {"predictions": [2, 2]}),
    answered("bytes_out", *strings("echo_bytes", f'[{{"b64": "{B64}"}}]'), {"predictions": [{"b64": B64}]}),
    answered(
        "bytes_out_beside_text",
        STRINGS,
        '{"instances": ["hi"]}',
        {"predictions": [{"upper": "HI", "text_bytes": {"b64": "aGk="}}]},
    ),
    answered(
        "bytes_out_in_columns",
        STRINGS,
        '{"inputs": ["hi"]}',
        {"outputs": {"upper": ["HI"], "text_bytes": [{"b64": "aGk="}]}},
    ),
    answered("text_out_is_not_decoded", *strings("echo", '[{"b64": "/w=="}]'), {"predictions": ["\udcff"]}),
    answered(
        "text_in_is_not_decoded",
        STRINGS,
        b'{"signature_name": "echo_bytes", "instances": ["\xff"]}',
        {"predictions": [{"b64": "/w=="}]},
    ),
    answered(
        "nine_digits",
        *numbers("float32", "[0.1, 0.3333333333, 2, 123456.789, 1e10]"),
        {"predictions": [0.1, 0.333333343, 2.0, 123456.789, 1e10]},
    ),
    answered("seventeen_digits", *numbers("float64", "[0.1, 0.3333333333333333]"), {"predictions": [0.1, 1 / 3]}),
    answered(
        "nan_and_infinity",
        *numbers("float32", "[NaN, Infinity, -Infinity]"),
        {"predictions": [NAN, INFINITY, -INFINITY]},
    ),
    answered(
        "short_infinity", *numbers("float32", "[Inf, -Inf]"), {"predictions": [INFINITY, -INFINITY]}, not_embedded=True
    ),
    answered(
        "nan_and_infinity_computed",
        SIGNATURES,
        '{"signature_name": "divide", "inputs": {"a": [0.0, 1.0, -1.0], "b": [0.0, 0.0, 0.0]}}',
        {"outputs": [NAN, INFINITY, -INFINITY]},
    ),
    answered(
        "largest_whole_float32",
        *numbers("float32", "[16777215, -16777215]"),
        {"predictions": [16777215.0, -16777215.0]},
    ),
    answered("decimal_beyond_it", *numbers("float32", "[16777216.0]"), {"predictions": [16777216.0]}),
    answered("whole_beyond_64_bits", *numbers("float64", "[100000000000000000000]"), {"predictions": [1e20]}),
    answered("uint8_wraps", *numbers("uint8", "[300, -1]"), {"predictions": [44, 255]}),
]

REFUSED = [
    refused("empty_body", SCALE, "", "JSON Parse error: The document is empty"),
    refused("no_json", SCALE, "instances = [1.0]", "JSON Parse error: "),
    refused("half_json", SCALE, '{"instances": [1.0', "JSON Parse error: "),
    refused("more_than_json", SCALE, '{"instances": [1.0]} {}', "JSON Parse error: "),
    refused("number_beyond_float64", *numbers("float64", "[1e400]"), "JSON Parse error: "),
    refused("list", SCALE, "[1.0]", "Is not object"),
    refused("no_json_for_unknown_model", "nope:predict", "{", "JSON Parse error: "),
    refused("no_key_for_unknown_model", "nope:predict", "{}", "Servable not found for request: Latest(nope)", 404),
    refused(
        "both_keys",
        SCALE,
        '{"instances": [1.0], "inputs": [1.0]}',
        "expecting only one of 'inputs' or 'instances' keys",
    ),
    refused("neither_key", SCALE, "{}", "Missing 'inputs' or 'instances' key"),
    refused("instances_a_number", SCALE, '{"instances": 1.0}', "Excepting 'instances' to be an list/array"),
    refused("instances_an_object", SCALE, '{"instances": {"x": 1.0}}', "Excepting 'instances' to be an list/array"),
    refused("instances_empty", SCALE, '{"instances": []}', "No values in 'instances' array"),
    refused(
        "signature_name_a_number",
        SCALE,
        '{"signature_name": 1, "instances": [1.0]}',
        "'signature_name' key must be a string value.",
    ),
    refused(
        "unknown_signature",
        SCALE,
        '{"signature_name": "nope", "instances": [1.0]}',
        'Serving signature name: "nope" not found in signature def',
    ),
    refused(
        "signature_without_inputs",
        SIGNATURES,
        '{"signature_name": "no_inputs", "inputs": {}}',
        "Failed to get input map for signature: no_inputs",
    ),
    refused(
        "plain_instances_for_two_inputs",
        *combine("instances", "[1.0]"),
        "instances is a plain list, but expecting list of objects as multiple input tensors required",
    ),
    refused(
        "plain_inputs_for_two_inputs",
        *combine("inputs", "[1.0]"),
        "inputs is a plain value/list, but expecting an object as multiple input tensors required",
    ),
    refused("input_missing", *combine("inputs", '{"a": [1.0]}'), "Missing named input: b in 'inputs' object."),
    refused(
        "default_input_missing",
        SIGNATURES,
        '{"signature_name": "defaulted", "inputs": {"x": [1.0]}}',
        "Missing named input: offset in 'inputs' object.",
    ),
    refused(
        "instance_without_an_input",
        *combine("instances", '[{"a": 1.0}]'),
        "Failed to process element: 0 of 'instances' list. JSON object: ",
    ),
    refused("input_misnamed", SCALE, '{"instances": [{"z": 1.0}]}', "JSON object: does not have named input: z"),
    refused(
        "list_among_objects",
        SCALE,
        '{"instances": [{"x": 1.0}, 1.0]}',
        "Expecting object but got list at item 1 of input list",
    ),
    refused(
        "object_among_lists",
        SCALE,
        '{"instances": [1.0, {"x": 1.0}]}',
        "Expecting value/list but got object at item 1 of input list",
    ),
    refused(
        "ragged_instances", SIGNATURES, '{"instances": [[1, 2, 3], [4, 5]]}', "Expecting tensor size: 3 but got: 2"
    ),
    refused(
        "instances_of_two_shapes",
        SIGNATURES,
        '{"instances": [[1, 2], [[1], [2]]]}',
        "Expecting shape [2] but got: [2,1]",
    ),
    refused(
        "ragged_inputs",
        SIGNATURES,
        '{"inputs": [[1, 2, 3], [4, 5]]}',
        "Encountered list at unexpected size: 2 at level: 1 expected size: 3",
    ),
    refused(
        "value_too_shallow",
        SIGNATURES,
        '{"inputs": [[1, 2, 3], 4]}',
        "found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    refused("list_too_deep", SCALE, '{"inputs": [1.0, [2.0]]}', "Encountered list at unexpected level: 1 expected < 1"),
    refused("string_for_float", *numbers("float32", '["1"]'), wrong_type("String", "float")),
    refused(
        "mixed_types", *numbers("float32", '[1.0, "a"]'), "Failed to process element: 1 of 'instances' list. Error: "
    ),
    refused("null_for_float", *numbers("float32", "[null]"), wrong_type("Null", "float")),
    refused("base64_for_float", *numbers("float32", '[{"b64": "aGk="}]'), wrong_type("Object", "float")),
    refused(
        "beyond_float32",
        *numbers("float32", "[1e39]"),
        "Cannot convert JSON value: 1e+39 to float without loss of precision.",
    ),
    refused("whole_beyond_float32", *numbers("float32", "[16777216]"), "16777216 to float without loss of precision."),
    refused("whole_beyond_float64", *numbers("float64", "[9007199254740992]"), "to double without loss of precision."),
    refused("decimal_for_int64", *numbers("int64", "[1.5]"), wrong_type("Number", "int64")),
    refused("whole_decimal_for_int64", *numbers("int64", "[2.0]"), wrong_type("Number", "int64")),
    refused("beyond_int64", *numbers("int64", "[9223372036854775808]"), wrong_type("Number", "int64")),
    refused("true_for_int64", *numbers("int64", "[true]"), wrong_type("True", "int64")),
    refused("string_for_int64", *numbers("int64", '["1"]'), wrong_type("String", "int64")),
    refused("beyond_int32", *numbers("int32", "[3000000000]"), wrong_type("Number", "int32")),
    refused("decimal_for_uint8", *numbers("uint8", "[1.5]"), wrong_type("Number", "uint8")),
    refused("negative_for_uint64", *numbers("uint64", "[-1]"), wrong_type("Number", "uint64")),
    refused("number_for_bool", *numbers("bool", "[1]"), wrong_type("Number", "bool")),
    refused("number_for_string", *strings("echo", "[1]"), wrong_type("Number", "string")),
    refused("bad_base64", *strings("echo", '[{"b64": "*"}]'), "Unable to base64 decode"),
    refused("base64_a_number", STRINGS, '{"inputs": [{"b64": 1}]}', "not formatted correctly for base64 data"),
    refused(
        "scalar_output_in_rows",
        SIGNATURES,
        '{"signature_name": "scalar_output", "instances": [1.0]}',
        "Tensor name: total has no shape information",
        batching=(400, "Batched output tensor has 0 dimensions"),
    ),
    refused(
        "uneven_outputs_in_rows",
        SIGNATURES,
        '{"signature_name": "uneven_outputs", "instances": [1.0, 2.0]}',
        "has inconsistent batch size: ",
        batching=(400, "Batched output tensor's 0th dimension does not equal"),
    ),
    refused("lone_surrogate", STRINGS, '{"instances": ["\\ud800"]}', "The surrogate pair in string is invalid"),
    refused("lone_surrogate_in_signature_name", SCALE, '{"signature_name": "\\uD800", "instances": [1]}', "surrogate"),
    refused("lone_surrogate_in_key", SCALE, '{"instances": [{"\\ud800": 1}]}', "surrogate pair"),
    refused("signature_name_that_is_not_utf8", SCALE, b'{"signature_name": "\xff", "instances": [1]}', "not found"),
    refused("key_that_is_not_utf8", SCALE, b'{"instances": [{"\xff": 1}]}', "does not have named input: "),
    refused("version_beyond_int64", "scale/versions/18446744073709551615:predict", "{}", "Failed to convert version: "),
    refused("classify", "scale:classify", '{"examples": [{}]}', "Classify", 501, embedded_only=True),
    refused("regress", "scale:regress", '{"examples": [{}]}', "Regress", 501, embedded_only=True),
]

GET = [
    get_answered("status", "scale", statuses(3, 2)),
    get_answered("status_in_capitals", "/V1/MODELS/scale", statuses(3, 2)),
    get_answered("status_of_version", "scale/versions/2", statuses(2)),
    get_answered("status_takes_no_label", "scale/labels/stable", statuses(3, 2)),
    get_refused("status_of_unknown_model", "nope", 404, "Could not find any versions of model nope"),
    get_refused("status_of_unknown_version", "scale/versions/9", 404, "Could not find version 9 of model scale"),
    get_refused(
        "status_of_version_beyond_int64", "scale/versions/9223372036854775808", 400, "Failed to convert version: "
    ),
    get_refused("status_of_version_of_5000_digits", f"scale/versions/{'1' * 5000}", 400, "Failed to convert version: "),
    get_refused("status_of_nothing", "/v1/models", 400, "Missing model name in request."),
    metadata_row("metadata", "scale/metadata", 3),
    metadata_row("metadata_of_version", "scale/versions/2/metadata", 2),
    metadata_row("metadata_of_label", "scale/labels/stable/metadata", 2),
    get_refused("metadata_of_unknown_model", "nope/metadata", 404, "Servable not found for request: Latest(nope)"),
    get_refused("metadata_of_unknown_version", "scale/versions/9/metadata", 404, "Specific(scale, 9)"),
    get_refused(
        "metadata_of_unknown_label", "scale/labels/old/metadata", 400, "Unrecognized servable version label: old"
    ),
    calls.Row("other_api_version", calls.get("/v2/models/scale"), 404, ANYTHING),
]

MALFORMED = [
    malformed("predict_by_get", calls.get(SCALE)),
    malformed("predict_by_put", calls.post(SCALE, '{"instances": [1.0]}', "PUT")),
    malformed("predict_by_delete", calls.Http("DELETE", f"/v1/models/{SCALE}")),
    malformed("status_by_post", calls.post("scale", "{}")),
    malformed("metadata_by_post", calls.post("scale/metadata", "{}")),
    malformed("unknown_method", calls.post("scale:nope", "{}")),
    malformed("method_in_capitals", calls.post("scale:PREDICT", '{"instances": [1.0]}')),
    malformed("no_model", calls.Http("POST", "/v1/models:predict", b"{}")),
    malformed("no_model_after_slash", calls.post(":predict", "{}")),
    malformed("version_in_the_singular", calls.post("scale/version/2:predict", "{}")),
    malformed("version_in_words", calls.post("scale/versions/two:predict", "{}")),
    malformed("negative_version", calls.get("scale/versions/-1")),
    malformed("version_and_label", calls.post("scale/versions/2/labels/stable:predict", "{}")),
    malformed("slash_at_the_end", calls.get("scale/")),
    malformed("no_models", calls.get("/v1/nope")),
]

GZIPPED = [
    gzip_answered("gzip", GZIP),
    gzip_answered("other_encoding", b'{"instances": [1.0]}', "identity"),
    gzip_refused("plain_called_gzip", b'{"instances": [1.0]}'),
    gzip_refused("half_a_gzip", GZIP[:-9]),
    gzip_refused("gzip_and_more", GZIP + b"more"),
    gzip_refused("gzip_with_a_wrong_checksum", GZIP[:-8] + bytes(4) + GZIP[-4:]),
    gzip_refused("gzip_of_101_mb", gzip.compress(b'{"instances": [1.0]}'.ljust(101 * 1024 * 1024))),
]

ROWS = [*(row.over_rest() for row in conformance_both.ROWS), *ANSWERED, *REFUSED, *GET, *MALFORMED, *GZIPPED]
