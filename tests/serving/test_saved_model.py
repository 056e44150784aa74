import concurrent.futures
import gc
import hashlib
import json
import os
import pathlib
import resource
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.embedded import batching, predict, saved_model, status, tensors

# dtype -> field of TensorProto that TensorFlow Serving sends its values in
FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int8: "int_val",
    tf.int16: "int_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}
DTYPES = [*FIELDS, tf.float16, tf.bfloat16]
ANY_BYTES = [b"a\x00b", b"ends in zeros\x00\x00", b"", b"\xff\xfe", bytes(range(256)), "Übersee 紙".encode()]
MEBIBYTE = 2**20


class Echo(tf.Module):
    """A model with one signature per dtype, which returns its input."""

    def signatures(self):
        return {
            dtype.name: tf.function(
                lambda x: {"y": tf.identity(x)}, input_signature=[tf.TensorSpec(None, dtype, "x")]
            ).get_concrete_function()
            for dtype in DTYPES
        }


class Texts(tf.Module):
    """A model that returns its strings, their lengths in bytes, and the first string as a scalar."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "texts")])
    def serve(self, texts):
        return {"same": tf.identity(texts), "length": tf.strings.length(texts), "first": texts[0]}


class Divide(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x"), tf.TensorSpec([None], tf.int32, "y")])
    def serve(self, x, y):
        return {"quotient": x // y, "remainder": x % y}


class Counter(tf.Module):
    """A model that returns the number of previous calls; it refuses negative numbers without counting them."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def serve(self, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "negative numbers are refused")]):
            return {"calls": self.calls.assign_add(1) - 1}


class Heavy(tf.Module):
    """A model with 64 MiB of weights."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(tf.ones([16 * MEBIBYTE]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def serve(self, x):
        return {"y": tf.gather(self.weights, x)}


def save(module, path, signatures=None):
    tf.saved_model.save(module, str(path), signatures=signatures or module.serve)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def echo(folder):
    module = Echo()
    servable = predict.Servable("echo", 1, save(module, folder / "echo", module.signatures()), None)
    yield servable
    servable.close()


@pytest.fixture(scope="module")
def texts_path(folder):
    return save(Texts(), folder / "texts")


@pytest.fixture(scope="module")
def texts(texts_path):
    servable = predict.Servable("texts", 1, texts_path, None)
    yield servable
    servable.close()


@pytest.fixture(scope="module")
def divide_path(folder):
    return save(Divide(), folder / "divide")


@pytest.fixture
def divide_by_five(divide_path, tmp_path):
    """Return a copy of the model that divides; its signature has a default of 5 for y."""
    path = pathlib.Path(shutil.copytree(divide_path, tmp_path / "divide"))
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    model.meta_graphs[0].signature_def["serving_default"].defaults["y"].CopyFrom(tf.make_tensor_proto([5], tf.int32))
    (path / "saved_model.pb").write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def counter_path(folder):
    return save(Counter(), folder / "counter")


@pytest.fixture(scope="module")
def heavy_path(folder):
    return save(Heavy(), folder / "heavy")


@pytest.fixture
def counter(counter_path, tmp_path):
    """Return a copy of the counter's folder, to which a test adds warm-up requests."""
    return pathlib.Path(shutil.copytree(counter_path, tmp_path / "counter"))


@pytest.fixture
def load():
    """Yield load(path, parameters=None), whose servables are closed after the test."""
    servables = []

    def load_servable(path, parameters=None):
        servables.append(predict.Servable("m", 1, path, parameters))
        return servables[-1]

    yield load_servable
    for servable in servables:
        servable.close()


def sample_array(dtype, shape):
    """Return an array of `dtype` that contains its extreme values."""
    size = int(np.prod(shape))
    if dtype == tf.string:
        return np.array([*(ANY_BYTES[i % len(ANY_BYTES)] for i in range(size)), None], object)[:-1].reshape(shape)
    if dtype == tf.bool:
        return (np.arange(size) % 2 == 0).reshape(shape)
    extremes = [dtype.min, dtype.max, 1, 0]
    if dtype.is_floating:
        extremes += [np.nan, np.inf, -np.inf, -0.0, 0.1]
    return np.array([extremes[i % len(extremes)] for i in range(size)], dtype.as_numpy_dtype).reshape(shape)


def assert_same(array, expected):
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
    if expected.dtype == object:
        assert array.tolist() == expected.tolist()
    else:
        assert array.tobytes() == expected.tobytes()  # tells -0.0 from 0.0, and accepts NaN


def write_warmup(path, records):
    (path / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)


def warmup_record(signature="", **inputs):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    for name, value in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


def code_of(call):
    with pytest.raises(status.StatusError) as caught:
        call()
    return caught.value.code


def by_name(dtype):
    return dtype.name


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 4), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=by_name)
def test_array_survives_its_conversion_to_a_proto_and_back(dtype, shape):
    array = sample_array(dtype, shape)
    sent = tensor_pb2.TensorProto.FromString(tensors.to_proto(array, dtype).SerializeToString())
    assert sent.dtype == dtype.as_datatype_enum
    assert_same(tensors.to_array(sent, "x"), array)
    assert_same(np.asarray(tf.make_ndarray(sent)), array)


@pytest.mark.parametrize("dtype", DTYPES, ids=by_name)
def test_tensor_is_read_as_tensorflow_writes_it(dtype):
    array = sample_array(dtype, (9, 2))
    assert_same(tensors.to_array(tf.make_tensor_proto(array, dtype), "x"), array)


@pytest.mark.parametrize(("dtype", "field"), FIELDS.items(), ids=lambda value: getattr(value, "name", value))
def test_values_are_written_to_the_field_of_their_dtype(dtype, field):
    array = sample_array(dtype, (2, 3))
    if dtype.is_floating:
        array = np.array([[0.1, 2, 3], [4, 5, 6]], array.dtype)
    proto = tensors.to_proto(array, dtype)
    assert list(getattr(proto, field)) == array.ravel().tolist()
    assert [name.name for name, _ in proto.ListFields()] == ["dtype", "tensor_shape", field]


@pytest.mark.parametrize(
    "proto",
    [
        tensor_pb2.TensorProto(),
        tensor_pb2.TensorProto(dtype=999),
        tf.make_tensor_proto(np.zeros(2, np.float32)),  # its shape is changed below
        tensor_pb2.TensorProto(dtype=tf.float32.as_datatype_enum, tensor_content=b"123"),
    ],
    ids=["no dtype", "unknown dtype", "too few bytes", "part of a value"],
)
def test_invalid_tensor_is_refused_with_its_name(proto):
    broken = tensor_pb2.TensorProto.FromString(proto.SerializeToString())
    if broken.tensor_shape.dim:
        broken.tensor_shape.dim[0].size = 3
    with pytest.raises(status.StatusError, match="tensor parsing error: photo") as caught:
        tensors.to_array(broken, "photo")
    assert caught.value.code is status.Code.INVALID_ARGUMENT


@pytest.mark.parametrize("sizes", [[-1], [2, -1], [-2, -1]], ids=str)
def test_tensor_of_negative_size_is_refused(sizes):
    proto = tf.make_tensor_proto(np.zeros(2, np.float32))
    del proto.tensor_shape.dim[:]
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    assert code_of(lambda: tensors.to_array(proto, "x")) is status.Code.INVALID_ARGUMENT


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=by_name)
def test_model_receives_and_returns_every_dtype_unchanged(echo, dtype, shape):
    array = sample_array(dtype, shape)
    outputs = echo.predict(dtype.name, {"x": array})
    assert list(outputs) == ["y"]
    assert_same(outputs["y"], array)


def test_strings_of_any_bytes_are_received_and_returned_unchanged(texts):
    outputs = texts.predict("serving_default", {"texts": np.array(ANY_BYTES, object)})
    assert_same(outputs["same"], np.array(ANY_BYTES, object))
    assert outputs["length"].tolist() == [len(text) for text in ANY_BYTES]


@pytest.mark.parametrize("text", ANY_BYTES, ids=ascii)
def test_scalar_string_keeps_its_bytes(texts, text):
    first = texts.predict("serving_default", {"texts": np.array([text, b"other"], object)})["first"]
    assert_same(first, np.array(text, object))
    assert list(tensors.to_proto(first, tf.string).string_val) == [text]


@pytest.mark.parametrize(
    ("signature", "array"),
    [
        ("float32", np.array([1, 2], np.int32)),
        ("float32", np.array([1, 2], np.float64)),
        ("float64", np.array([1, 2], np.float32)),
        ("int32", np.array([1, 2], np.int64)),
        ("int64", np.array([1, 2], np.int32)),
        ("int32", np.array([1, 2], np.uint8)),
        ("bool", np.array([1, 0], np.int32)),
        ("float32", np.array([True, False])),
        ("float32", np.array([b"1", b"2"], object)),
        ("string", np.array([1, 2], np.float32)),
    ],
    ids=lambda value: value if isinstance(value, str) else value.dtype.name,
)
def test_wrong_dtype_is_refused_and_not_converted(echo, signature, array):
    assert code_of(lambda: echo.predict(signature, {"x": array})) is status.Code.INVALID_ARGUMENT


def test_signatures_have_dtypes_and_shapes(texts):
    signature = texts.signatures["serving_default"]
    assert {name: tf.as_dtype(info.dtype) for name, info in signature.inputs.items()} == {"texts": tf.string}
    assert set(signature.outputs) == {"same", "length", "first"}
    assert [dim.size for dim in signature.inputs["texts"].tensor_shape.dim] == [-1]


def test_output_filter_selects_outputs_in_its_order(load, divide_path):
    inputs = {"x": np.array([17], np.int32), "y": np.array([5], np.int32)}
    servable = load(divide_path)
    for output_filter in ((), ("remainder",), ("quotient", "remainder"), ("remainder", "quotient")):
        outputs = servable.predict("serving_default", inputs, output_filter)
        assert not output_filter or tuple(outputs) == output_filter
        expected = {"quotient": [3], "remainder": [2]}
        assert {name: array.tolist() for name, array in outputs.items()} == {
            name: expected[name] for name in output_filter or expected
        }


@pytest.mark.parametrize("parameters", [None, batching.Parameters(max_batch_size=8)], ids=["unbatched", "batched"])
def test_error_of_an_operation_keeps_its_code_and_the_model_still_answers(load, divide_path, parameters):
    servable = load(divide_path, parameters)

    def divide(x, y):
        return servable.predict("serving_default", {"x": np.array([x], np.int32), "y": np.array([y], np.int32)})

    with pytest.raises(status.StatusError, match="Integer division by zero") as caught:
        divide(1, 0)
    assert caught.value.code is status.Code.INVALID_ARGUMENT
    assert divide(9, 3)["quotient"].tolist() == [3]


def test_missing_input_takes_the_default_of_the_signature(load, divide_by_five):
    servable = load(divide_by_five)
    x, y = np.array([17], np.int32), np.array([2], np.int32)
    assert servable.predict("serving_default", {"x": x})["quotient"].tolist() == [3]
    assert servable.predict("serving_default", {"x": x, "y": y})["quotient"].tolist() == [8]
    assert code_of(lambda: servable.predict("serving_default", {"y": y})) is status.Code.INVALID_ARGUMENT


def test_concurrent_callers_share_one_model(load, texts_path):
    servable = load(texts_path, batching.Parameters(max_batch_size=8, batch_timeout_seconds=0.002))

    def call(number):
        text = b"\x00" * number
        outputs = servable.predict("serving_default", {"texts": np.array([text], object)}, ["same", "length"])
        return outputs["same"].tolist() == [text] and outputs["length"].tolist() == [number]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(200)))


def calls_before(servable):
    return int(servable.predict("serving_default", {"x": np.array([1], np.int32)})["calls"])


def test_model_without_warm_up_requests_runs_nothing_when_loaded(load, counter):
    assert calls_before(load(counter)) == 0


def test_warm_up_requests_run_when_the_model_is_loaded(load, counter):
    write_warmup(counter, [warmup_record(x=[1]), warmup_record("serving_default", x=[2, 3])])
    servable = load(counter)
    assert calls_before(servable) == 2
    assert calls_before(servable) == 3


def test_warm_up_request_may_omit_a_default_and_filter_outputs(load, divide_by_five):
    log = prediction_log_pb2.PredictionLog.FromString(warmup_record(x=[17]))
    log.predict_log.request.output_filter.append("remainder")
    write_warmup(divide_by_five, [log.SerializeToString()])
    inputs = {"x": np.array([17], np.int32)}
    assert load(divide_by_five).predict("serving_default", inputs)["remainder"].tolist() == [2]


def test_load_fails_for_more_than_1000_warm_up_requests(load, counter):
    write_warmup(counter, [warmup_record(x=[1])] * 1000)
    assert calls_before(load(counter)) == 1000
    shutil.rmtree(counter / "assets.extra")
    write_warmup(counter, [warmup_record(x=[1])] * 1001)
    assert code_of(lambda: load(counter)) is status.Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (warmup_record(x=[-1]), status.Code.INVALID_ARGUMENT),
        (warmup_record(x=[0.5]), status.Code.INVALID_ARGUMENT),
        (warmup_record(), status.Code.INVALID_ARGUMENT),
        (warmup_record(x=[1], y=[1]), status.Code.INVALID_ARGUMENT),
        (warmup_record("other", x=[1]), status.Code.FAILED_PRECONDITION),
        (b"no request", None),
    ],
    ids=["refused by the graph", "wrong dtype", "input missing", "input too many", "unknown signature", "no request"],
)
def test_load_fails_if_a_warm_up_request_fails(load, counter, record, code):
    write_warmup(counter, [warmup_record(x=[1]), record])
    with pytest.raises(status.StatusError) as caught:
        load(counter)
    assert code is None or caught.value.code is code


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_load_fails_if_the_warm_up_file_is_corrupt(load, counter, damage):
    write_warmup(counter, [warmup_record(x=[1])] * 3)
    file = counter / "assets.extra" / "tf_serving_warmup_requests"
    content = file.read_bytes()
    file.write_bytes(content[:-5] if damage == "truncated" else content[:-20] + b"\x00" * 20)
    assert code_of(lambda: load(counter)) is status.Code.DATA_LOSS


def test_closed_model_refuses_requests(texts_path):
    servable = predict.Servable("m", 1, texts_path, None)
    inputs = {"texts": np.array([b"a"], object)}
    servable.predict("serving_default", inputs)
    servable.close()
    with pytest.raises(status.StatusError, match="closed"):
        servable.predict("serving_default", inputs)


@pytest.mark.parametrize("end", ["closed after use", "refused by its warm-up"])
def test_closed_or_failed_model_frees_its_memory(heavy_path, tmp_path, end):
    path = pathlib.Path(shutil.copytree(heavy_path, tmp_path / "heavy"))
    if end == "refused by its warm-up":
        write_warmup(path, [warmup_record(x=[0]), warmup_record(x=["text"])])

    def load_and_end():
        if end == "refused by its warm-up":
            assert code_of(lambda: predict.Servable("m", 1, path, None)) is status.Code.INVALID_ARGUMENT
            return
        servable = predict.Servable("m", 1, path, batching.Parameters(max_batch_size=4))
        outputs = servable.predict("serving_default", {"x": np.array([0, 1], np.int32)})
        assert outputs["y"].tolist() == [1, 1]
        servable.close()

    def graphs():
        return sum(isinstance(item, tf.Graph) for item in gc.get_objects())

    load_and_end()
    gc.collect()
    graphs_before, bytes_before = graphs(), resident_bytes()
    for _ in range(4):
        load_and_end()
    gc.collect()
    assert graphs() == graphs_before
    assert resident_bytes() - bytes_before < 128 * MEBIBYTE, "four models hold 256 MiB"


def resident_bytes():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(status.StatusError, match="saved_model"):
        predict.Servable("m", 1, tmp_path, None)
    with pytest.raises(status.StatusError):
        predict.Servable("m", 1, tmp_path / "nowhere", None)


@pytest.mark.parametrize(
    "file", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "overwritten"])
def test_broken_model_is_refused(counter, file, damage):
    path = counter / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2]}.get(damage, b"\xff" * len(content)))
    with pytest.raises(status.StatusError):
        saved_model.SavedModel(counter)


def test_model_without_the_serve_tag_is_refused(counter):
    model = saved_model_pb2.SavedModel.FromString((counter / "saved_model.pb").read_bytes())
    model.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    (counter / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(status.StatusError, match="serve"):
        saved_model.SavedModel(counter)


def write_description(folder):
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in names}
    (folder / "model.json").write_text(json.dumps({"files": digests}))


def test_pushed_version_whose_files_are_unchanged_is_loaded(counter):
    write_description(counter)
    saved_model.SavedModel(counter).close()


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index", "fingerprint.pb"])
def test_changed_file_of_a_pushed_version_is_named(counter, file):
    write_description(counter)
    content = bytearray((counter / file).read_bytes())
    content[len(content) // 2] ^= 1
    (counter / file).write_bytes(content)
    with pytest.raises(status.StatusError, match=f"{file} has changed since it was pushed. Restore it") as caught:
        saved_model.SavedModel(counter)
    assert caught.value.code == status.Code.DATA_LOSS


def test_pipe_in_a_version_is_named_and_not_read(counter):
    (counter / "saved_model.pb").unlink()
    os.mkfifo(counter / "saved_model.pb")
    with pytest.raises(status.StatusError, match=r"saved_model\.pb is neither a file nor a folder"):
        saved_model.SavedModel(counter)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": [1]}', '{"files": {"saved_model.pb": 1}}', "[" * 100_000])
def test_damaged_description_of_a_version_is_named(counter, text):
    (counter / "model.json").write_text(text)
    with pytest.raises(status.StatusError, match=r"model\.json is damaged .*Restore it"):
        saved_model.SavedModel(counter)
