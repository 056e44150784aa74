import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import json_tensors, status

PHOTO = bytes(range(256)) + b"\x00\xff\x00"
INTEGERS = [tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64]


def as_id(value):
    return value.name if isinstance(value, tf.DType) else str(value)


def infos(**dtypes):
    """Return the inputs of a signature with these dtypes."""
    return {name: meta_graph_pb2.TensorInfo(dtype=dtype.as_datatype_enum) for name, dtype in dtypes.items()}


def read(document, **dtypes):
    """Return the tensors of `document`; by default the signature has one float32 input "x"."""
    parsed = json_tensors.parse(document if isinstance(document, bytes) else json.dumps(document).encode())
    return json_tensors.inputs(parsed, infos(**(dtypes or {"x": tf.float32})))


def read_one(document, dtype):
    arrays, _ = read(document, x=dtype)
    return arrays["x"]


def written(arrays, row_by_row=True):
    """Return the response as JSON text."""
    return json.dumps(json_tensors.outputs(arrays, row_by_row))


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def refusal(call, code=status.Code.INVALID_ARGUMENT):
    """Return the message of the StatusError that `call` raises."""
    with pytest.raises(status.StatusError) as caught:
        call()
    assert caught.value.code is code
    return caught.value.message


@pytest.mark.parametrize(
    ("value", "shape"),
    [([1, 2, 3], (3,)), ([[1, 2], [3, 4]], (2, 2)), ([[[1]], [[2]], [[3]]], (3, 1, 1)), ([[], []], (2, 0))],
    ids=str,
)
def test_instances_and_inputs_give_the_same_tensor(value, shape):
    by_row, by_row_flag = read({"instances": value})
    by_name, by_name_flag = read({"inputs": value})
    named, _ = read({"inputs": {"x": value}})
    rows, _ = read({"instances": [{"x": row} for row in value]})
    assert (by_row_flag, by_name_flag) == (True, False)
    for arrays in (by_row, by_name, named, rows):
        assert list(arrays) == ["x"]
        assert (arrays["x"].shape, arrays["x"].dtype) == (shape, np.float32)
        assert arrays["x"].tolist() == value


def test_inputs_may_be_a_scalar_or_an_empty_list():
    assert read_one({"inputs": 7}, tf.int64).shape == ()
    assert read_one({"inputs": {"x": 2.5}}, tf.float32) == np.float32(2.5)
    assert read_one({"inputs": []}, tf.float32).shape == (0,)
    assert read_one({"inputs": b64(b"\x00")}, tf.string).tolist() == b"\x00"


def test_instances_of_several_inputs_are_stacked_by_name():
    arrays, row_by_row = read(
        {"instances": [{"photo": b64(PHOTO), "size": [1, 2]}, {"size": [3, 4], "photo": "text"}]},
        photo=tf.string,
        size=tf.int32,
    )
    assert row_by_row
    assert arrays["photo"].tolist() == [PHOTO, b"text"]
    assert arrays["size"].tolist() == [[1, 2], [3, 4]]


def test_named_inputs_may_differ_in_their_first_axis():
    arrays, _ = read({"inputs": {"x": [1, 2, 3], "limit": 0.5}}, x=tf.int64, limit=tf.float64)
    assert (arrays["x"].shape, arrays["limit"].shape) == ((3,), ())


@pytest.mark.parametrize("content", [PHOTO, b"", b"\x00", b"ends in zeros\x00\x00", "Übersee 紙".encode()], ids=repr)
def test_base64_is_decoded_in_every_position(content):
    assert read_one({"instances": [b64(content), b64(content)]}, tf.string).tolist() == [content] * 2
    assert read_one({"instances": [[b64(content)]]}, tf.string).tolist() == [[content]]
    assert read_one({"instances": [{"x": b64(content)}]}, tf.string).tolist() == [content]
    assert read_one({"inputs": [b64(content)]}, tf.string).tolist() == [content]


@pytest.mark.parametrize(
    "text",
    [base64.encodebytes(PHOTO).decode(), base64.b64encode(PHOTO).decode().rstrip("="), "  AAEC \t"],
    ids=["lines of 76", "no padding", "spaces"],
)
def test_base64_may_have_line_breaks_and_no_padding(text):
    content = base64.b64decode(text + "=" * (-len("".join(text.split())) % 4))
    assert read_one({"instances": [{"b64": text}]}, tf.string).tolist() == [content]


def test_text_is_read_as_utf8():
    assert read_one({"instances": ["Übersee 紙", "a\x00b"]}, tf.string).tolist() == ["Übersee 紙".encode(), b"a\x00b"]


@pytest.mark.parametrize(
    ("escaped", "content"),
    [
        (rb"\ud83d\uDE00", "\U0001f600".encode()),
        (rb"\\ud800", rb"\ud800"),  # an escaped backslash, not an escaped surrogate
        (b"\xff\xed\xa0\x80", b"\xff\xed\xa0\x80"),  # not UTF-8
    ],
)
def test_surrogate_pairs_and_bytes_that_are_not_utf8_are_read(escaped, content):
    assert read_one(b'{"instances": ["%s"]}' % escaped, tf.string).tolist() == [content]


@pytest.mark.parametrize(
    "escaped", [r"\ud800", r"\uDFFF", r"\ude00\ud83d", r"\ud83d\ud83d\ude00", r"\\\udc80", r"\n\ud800a"]
)
def test_unpaired_surrogate_is_refused_in_every_position(escaped):
    for text in ('{"instances": ["%s"]}', '{"instances": [{"%s": 1}]}', '{"signature_name": "%s"}'):
        assert "surrogate" in refusal(lambda text=text: json_tensors.parse((text % escaped).encode()))


@pytest.mark.parametrize("dtype", INTEGERS, ids=as_id)
def test_integers_are_read_and_written_over_their_whole_range(dtype):
    values = [int(dtype.min), 0, int(dtype.max)]
    array = read_one({"instances": values}, dtype)
    assert (array.tolist(), array.dtype) == (values, dtype.as_numpy_dtype)
    assert json.loads(written({"y": array})) == {"predictions": values}


def test_booleans_are_read_and_written_as_booleans():
    array = read_one({"instances": [True, False]}, tf.bool)
    assert array.dtype == bool
    assert written({"y": array}) == '{"predictions": [true, false]}'


def test_nan_and_infinity_are_read_and_written():
    array = read_one(b'{"instances": [NaN, Infinity, -Infinity, 1e38]}', tf.float32)
    np.testing.assert_array_equal(array, np.array([np.nan, np.inf, -np.inf, 1e38], np.float32))
    assert written({"y": array[:3]}) == '{"predictions": [NaN, Infinity, -Infinity]}'
    assert written({"y": array[:3].astype(np.float64)}, row_by_row=False) == '{"outputs": [NaN, Infinity, -Infinity]}'


def test_large_array_is_read_and_written_unchanged():
    values = np.random.default_rng(1).normal(size=(50, 40, 30)).astype(np.float32)
    array = read_one({"instances": values.tolist()}, tf.float32)
    np.testing.assert_array_equal(array, values)
    answer = json.loads(written({"y": array}))
    np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), values)


def test_float32_is_written_without_the_digits_of_a_double():
    values = np.array([0.1, 0.2, 1 / 3, 16777216, 1e-45, 3.4028235e38, -0.0, 100], np.float32)
    text = written({"y": values})
    assert text.startswith(
        '{"predictions": [0.1, 0.2, 0.333333343, 16777216.0, 1.4013e-45, 3.40282347e+38, -0.0, 100.0'
    )
    np.testing.assert_array_equal(np.float32(json.loads(text)["predictions"]), values)


def test_written_float32_is_read_back_unchanged():
    bits = np.random.default_rng(1).integers(0, 2**32, 5000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(np.float32(json.loads(written({"y": values}))["predictions"]), values)


def test_written_float64_is_read_back_unchanged():
    values = np.array([0.1, 1 / 3, 5e-324, 1.7976931348623157e308])
    assert json.loads(written({"y": values})) == {"predictions": values.tolist()}


def test_strings_are_written_as_text_and_outputs_named_bytes_as_base64():
    array = np.array([b"paper", "紙".encode(), b"", b"a\x00\x00"], object)
    assert json.loads(written({"label": array})) == {"predictions": ["paper", "紙", "", "a\x00\x00"]}
    assert json.loads(written({"photo_bytes": array})) == {"predictions": [b64(value) for value in array]}
    scalar = np.array(PHOTO, object)
    assert json.loads(written({"photo_bytes": scalar}, row_by_row=False)) == {"outputs": b64(PHOTO)}


def test_outputs_have_the_format_of_the_request():
    arrays = {"class": np.array([b"a", b"b"], object), "scores": np.array([[0.5, 0.25], [1, 0]], np.float32)}
    assert json_tensors.outputs(arrays, row_by_row=True) == {
        "predictions": [{"class": "a", "scores": [0.5, 0.25]}, {"class": "b", "scores": [1.0, 0.0]}]
    }
    assert json_tensors.outputs(arrays, row_by_row=False) == {
        "outputs": {"class": ["a", "b"], "scores": [[0.5, 0.25], [1.0, 0.0]]}
    }


def test_single_output_is_written_without_its_name():
    array = np.array([[1, 2]], np.float32)
    assert json_tensors.outputs({"scores": array}, row_by_row=True) == {"predictions": [[1.0, 2.0]]}
    assert json_tensors.outputs({"scores": array}, row_by_row=False) == {"outputs": [[1.0, 2.0]]}


def test_scalar_output_is_refused_in_row_format():
    arrays = {"scores": np.zeros((2, 3)), "total": np.array(7)}
    assert json_tensors.outputs(arrays, row_by_row=False)["outputs"]["total"] == 7
    message = refusal(lambda: json_tensors.outputs(arrays, row_by_row=True))
    assert message == "Tensor name: total has no shape information "


def test_outputs_of_different_lengths_are_refused_in_row_format():
    arrays = {"a": np.zeros(2), "b": np.zeros(3)}
    assert refusal(lambda: json_tensors.outputs(arrays, row_by_row=True)) == (
        "Tensor name: b has inconsistent batch size: 3 expecting: 2"
    )


def test_outputs_without_rows_are_refused_in_row_format():
    arrays = {"a": np.zeros((0, 3))}
    assert refusal(lambda: json_tensors.outputs(arrays, row_by_row=True)) == (
        "Tensor name: a has invalid batch size: 0"
    )
    assert json_tensors.outputs(arrays, row_by_row=False) == {"outputs": []}


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(tf.float16, "half"), (tf.bfloat16, "bfloat16"), (tf.uint16, "uint16"), (tf.complex64, "complex64")],
    ids=as_id,
)
def test_dtype_that_json_cannot_hold_is_refused_as_input_and_output(dtype, name):
    message = refusal(lambda: json_tensors.outputs({"y": np.ones(2, dtype.as_numpy_dtype)}, row_by_row=True))
    assert message == f"Failed to write JSON value for tensor type: {name}"
    message = refusal(lambda: read_one({"inputs": [1]}, dtype), status.Code.UNIMPLEMENTED)
    assert message == f"Conversion of JSON Value: 1 to type: {name}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b'{"instances": [1,]}', "JSON Parse error: "),
        (b"[" * 100_000, "JSON Parse error: "),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b"null", "JSON Value: null Is not object"),
    ],
    ids=["empty", "open", "comma", "deep", "list", "null"],
)
def test_body_that_is_not_a_json_object_is_refused(body, message):
    assert refusal(lambda: json_tensors.parse(body)).startswith(message)


@pytest.mark.parametrize("depth", [40, 200, 900], ids=["allowed", "beyond NumPy's limit", "beyond the parser's limit"])
def test_lists_are_read_up_to_a_depth_of_64(depth):
    document = b'{"instances": ' + b"[" * depth + b"1" + b"]" * depth + b"}"
    if depth <= 64:
        assert read_one(document, tf.int32).shape == (1,) * depth
    else:
        refusal(lambda: read_one(document, tf.int32))


def test_signature_name_has_a_default_and_must_be_a_string():
    assert json_tensors.signature_name({}) == json_tensors.signature_name({"signature_name": ""}) == "serving_default"
    assert json_tensors.signature_name({"signature_name": "other"}) == "other"
    message = refusal(lambda: json_tensors.signature_name({"signature_name": 5}))
    assert message.endswith("not formatted correctly. 'signature_name' key must be a string value.")


@pytest.mark.parametrize(
    ("document", "dtypes", "message"),
    [
        ({}, {}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [1], "inputs": [1]}, {}, "expecting only one of 'inputs' or 'instances' keys to exist"),
        ({"instances": 1}, {}, "Excepting 'instances' to be an list/array"),
        ({"instances": {"x": 1}}, {}, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, {}, "No values in 'instances' array"),
        (
            {"instances": [1]},
            {"x": tf.float32, "y": tf.float32},
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        (
            {"inputs": [1]},
            {"x": tf.float32, "y": tf.float32},
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        ({"inputs": {"y": [1]}}, {}, "Missing named input: x in 'inputs' object."),
        ({"instances": [{"x": 1}, 2]}, {}, "Expecting object but got list at item 1 of input list"),
        ({"instances": [1, {"x": 2}]}, {}, "Expecting value/list but got object at item 1 of input list"),
        (
            {"instances": [{"y": 1}]},
            {},
            "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not "
            "have named input: y",
        ),
        (
            {"instances": [{"x": 1, "y": 1}, {"x": 1}]},
            {"x": tf.float32, "y": tf.float32},
            "Failed to process element: 1 of 'instances' list. JSON object: ",
        ),
        ({"instances": [{"x": 1}]}, {"x": tf.float32, "y": tf.float32}, " keys must be equal to: x,y"),
        (
            {"instances": [[1, 2], [1, 2, 3]]},
            {},
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but "
            "got: 3",
        ),
        ({"instances": [{"x": 1}, {"x": []}]}, {}, "Expecting tensor size: 1 but got: 0"),
        ({"instances": [[[1, 2]], [[1], [2]]]}, {}, "Expecting shape [1,2] but got: [2,1]"),
        ({"instances": [1, [1]]}, {}, "Expecting shape [] but got: [1]"),
        ({"inputs": [[1, 2], [3]]}, {}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ({"inputs": [1, [2]]}, {}, "Encountered list at unexpected level: 1 expected < 1"),
        ({"inputs": [[1], 2]}, {}, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ({"inputs": [[], [1]]}, {}, "Encountered list at unexpected size: 1 at level: 1 expected size: 0"),
    ],
)
def test_misplaced_value_is_refused_with_its_position(document, dtypes, message):
    assert message in refusal(lambda: read(document, **dtypes))


@pytest.mark.parametrize(
    ("value", "dtype", "kind"),
    [
        ("1", tf.float32, "String"),
        (None, tf.float32, "Null"),
        (True, tf.float32, "True"),
        ({"x": 1}, tf.float32, "Object"),
        ({"b64": "AA=="}, tf.float32, "Object"),
        (1.0, tf.int32, "Number"),
        (False, tf.int32, "False"),
        (2**31, tf.int32, "Number"),
        (-1, tf.uint32, "Number"),
        (2**63, tf.int64, "Number"),
        (2**64, tf.uint64, "Number"),
        (1, tf.bool, "Number"),
        ("true", tf.bool, "String"),
        (1, tf.string, "Number"),
        (None, tf.string, "Null"),
    ],
    ids=as_id,
)
def test_value_of_another_type_is_refused_with_its_type(value, dtype, kind):
    name = {tf.float32: "float"}.get(dtype, dtype.name)
    assert refusal(lambda: read_one({"inputs": [value]}, dtype)) == (
        f"JSON Value: {json.dumps(value)} Type: {kind} is not of expected type: {name}"
    )


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2**24, tf.float32), (-(2**24), tf.float32), (1e39, tf.float32), (-1e39, tf.float32), (2**53, tf.float64)],
    ids=as_id,
)
@pytest.mark.filterwarnings("error")  # NumPy warns when a comparison overflows
def test_number_that_a_float_cannot_hold_is_refused(value, dtype):
    name = {tf.float32: "float", tf.float64: "double"}[dtype]
    assert refusal(lambda: read_one({"inputs": [value]}, dtype)) == (
        f"Cannot convert JSON value: {json.dumps(value)} to {name} without loss of precision."
    )


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**24 - 1, tf.float32),
        (2.0**24, tf.float32),
        (2**53 - 1, tf.float64),
        (10**20, tf.float64),  # beyond 64 bits, so read as a double
        (1e300, tf.float64),
    ],
    ids=as_id,
)
def test_number_that_a_float_can_hold_is_read(value, dtype):
    assert read_one({"inputs": [value]}, dtype).tolist() == [value]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=as_id)
def test_integer_beyond_any_float_is_refused(dtype):
    refusal(lambda: read_one({"inputs": [10**400]}, dtype))


@pytest.mark.parametrize("text", ["!!!!", "A", "AA=A", "AAECAw===", "AAE\x00", "紙"], ids=ascii)
def test_invalid_base64_text_is_refused(text):
    assert refusal(lambda: read_one({"inputs": [{"b64": text}]}, tf.string)) == "Unable to base64 decode"


@pytest.mark.parametrize("value", [{"b64": 1}, {"b64": "AA==", "more": 1}, {"base64": "AA=="}, {}], ids=str)
def test_object_without_valid_base64_is_refused(value):
    message = refusal(lambda: read_one({"inputs": [value]}, tf.string))
    assert message == f"JSON Value: {json.dumps(value)} not formatted correctly for base64 data"


def test_signature_without_inputs_or_outputs_is_refused():
    for document in ({"instances": [1]}, {"inputs": [1]}, {"inputs": {}}):
        message = refusal(lambda document=document: json_tensors.inputs(document, {}))
        assert message.startswith("Failed to get input map for signature")
    for row_by_row in (True, False):
        message = refusal(lambda row_by_row=row_by_row: json_tensors.outputs({}, row_by_row))
        assert message == "Cannot convert empty tensor map to JSON"


def test_message_about_a_large_document_is_short():
    assert len(refusal(lambda: read({"instances": {"x": [1] * 10_000}}))) < 500
