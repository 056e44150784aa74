import dataclasses
import io

import exported_models
import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_backbone
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from components.base.errors import PilahError
from components.data import images
from components.models import assembly, backbones, head, prediction_sets, tta, typicality
from components.publish import calibration_check, export, validate

CLASSES = ["glass", "paper", "trash"]
SIZE_PX, CHANNELS = 32, 8


def photo(colour, kind, size=(50, 40)):
    file = io.BytesIO()
    noise = np.random.default_rng(sum(colour)).integers(0, 40, (size[1], size[0], 3))
    Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(file, kind)
    return file.getvalue()


def mirror(data):
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file, "PNG")
    return file.getvalue()


PHOTOS = [
    photo((20 * i, 200 - 15 * i, 90), kind) for i, kind in zip(range(10), ["JPEG", "PNG", "JPEG"] * 4, strict=False)
]


def small_model(seed):
    """Return a real head on a backbone of one layer, which can be exported in a second."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((SIZE_PX, SIZE_PX, 3), dtype="uint8")
    x = keras.layers.Conv2D(CHANNELS, 5, 3, activation="relu")(keras.ops.cast(pixels, "float32") / 255)
    x = keras.layers.BatchNormalization()(x, training=False)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    return keras.Model(pixels, build_head(CHANNELS, seed)(pooled), name="pilah")


def build_head(channels, seed):
    return head.build(
        channels, len(CLASSES), optimizer="Adam", dropout=0.5, learning_rate=1e-3, weight_decay=0.0, seed=seed
    )


def check_calibration(model, folder, changed):
    return calibration_check.check(
        model,
        folder,
        PHOTOS,
        backbone="ResNet50",
        test_views=1,
        calibration=changed,
        image_size_px=SIZE_PX,
    )


@pytest.fixture(scope="module")
def model():
    return small_model(seed=1)


@pytest.fixture(scope="module")
def saved_model(model, tmp_path_factory):
    return exported_models.write(model, CLASSES, tmp_path_factory.mktemp("run") / "export", PHOTOS[:3])


@pytest.mark.parametrize("backbone", list(backbones.BACKBONES))  # each with its preprocessing, saved inside
def test_saved_keras_model_reads_back_with_the_same_scores(backbone, tmp_path, monkeypatch):
    small = dataclasses.replace(backbones.BACKBONES[backbone], build=tiny_backbone.build)
    monkeypatch.setitem(backbones.BACKBONES, backbone, small)
    trained = build_head(channels=16, seed=1)
    trained.optimizer.build(trained.trainable_variables)  # as training does
    model = assembly.assemble(backbone, backbones.Weights(None, 1), image_size_px=SIZE_PX, trained_head=trained)
    assembly.save(model, tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIZE_PX, SIZE_PX, 3), np.uint8)
    np.testing.assert_array_equal(assembly.load(tmp_path / "model.keras")(pixels), model(pixels))


def test_signature_has_the_names_that_clients_rely_on(saved_model):
    signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    assert signature.structured_input_signature[1]["image_bytes"].dtype == tf.string
    assert set(signature.structured_outputs) == {"scores", "class_names", "in_set", "typicality"}
    explain = tf.saved_model.load(str(saved_model)).signatures["explain"]
    assert explain.structured_input_signature[1]["image_bytes"].dtype == tf.string
    assert set(explain.structured_outputs) == {"heatmap"}


def test_mixed_batch_of_jpeg_and_png_gives_scores_and_names_for_each_photo(saved_model):
    signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    outputs = signature(image_bytes=tf.constant(PHOTOS[:5]))
    assert outputs["scores"].dtype == tf.float32
    np.testing.assert_allclose(outputs["scores"].numpy().sum(axis=1), 1, atol=1e-5)
    assert outputs["class_names"].numpy().tolist() == [[name.encode() for name in CLASSES]] * 5


def test_exported_scores_equal_those_of_the_keras_model(model, saved_model):
    difference, scores = validate.check_same_answers(model, saved_model, PHOTOS * 4, SIZE_PX)
    assert difference <= 1e-4 and scores.shape == (len(PHOTOS) * 4, 3)


def test_export_of_another_model_raises(saved_model):
    with pytest.raises(PilahError, match="Exported scores must equal"):
        validate.check_same_answers(small_model(seed=2), saved_model, PHOTOS[:4], SIZE_PX)


def test_sets_and_typicality_are_those_that_numpy_computes(model, saved_model):
    assert check_calibration(model, saved_model, exported_models.calibration(model, 3)) <= 1 / exported_models.PHOTOS
    answers = validate.load_signature(saved_model)(PHOTOS)
    assert answers.in_set.dtype == bool and answers.in_set.shape == (len(PHOTOS), 3)
    assert answers.in_set[np.arange(len(PHOTOS)), answers.scores.argmax(axis=1)].all()
    assert answers.typicality.dtype == np.float32 and answers.typicality.shape == (len(PHOTOS),)
    assert 0 < answers.typicality.max() <= 1


def test_sets_of_another_calibration_raise(model, saved_model):
    with pytest.raises(PilahError, match=r"\d+ of 10 sets differ"):
        check_calibration(model, saved_model, exported_models.calibration(model, 3, threshold=0.0))


def test_typicality_of_another_calibration_raises(model, saved_model):
    other = dataclasses.replace(
        exported_models.calibration(model, 3), references=np.full(exported_models.PHOTOS, 1e9, np.float32)
    )
    with pytest.raises(PilahError, match="typicality by up to"):
        check_calibration(model, saved_model, other)


def test_typicality_of_nearly_equal_activations_is_that_of_numpy():
    activations = np.random.default_rng(1).normal(5, 0.01, (300, CHANNELS)).astype(np.float32)
    labels = np.arange(300) % 3
    distance = typicality.fit(activations, labels)
    references = typicality.references(typicality.held_out([activations] * 3, labels, np.arange(300) // 3 % 3))
    exported = export._typicality(tf.constant(activations), distance, references)
    np.testing.assert_allclose(exported, typicality.of(distance(activations), references), atol=0.01)


def test_sets_of_many_classes_are_those_of_numpy():
    scores = np.full((1, 200), 0.989 / 198, np.float32)
    scores[:, :2] = 0.0056, 0.0054
    rule = prediction_sets.Rule(prediction_sets.TEMPERATURES[0], np.full(200, 0.02))
    assert np.flatnonzero(export._in_set(tf.constant(scores), rule)).tolist() == [0, 1]


def test_test_views_are_averaged_in_the_scores_and_the_first_is_explained(model, saved_model, tmp_path):
    two_views = exported_models.write(tta.averaged(model, 2), CLASSES, tmp_path / "export", PHOTOS[:1], test_views=2)
    mirrored = [mirror(photo) for photo in PHOTOS]
    single_view = validate.load_signature(saved_model)
    averaged = validate.load_signature(two_views)(PHOTOS)
    expected = (single_view(PHOTOS).scores + single_view(mirrored).scores) / 2
    np.testing.assert_allclose(averaged.scores, expected, atol=2e-3)  # the resize of a mirrored photo rounds otherwise
    np.testing.assert_array_equal(averaged.typicality, single_view(PHOTOS).typicality)


def test_heatmap_has_a_map_in_0_to_1_for_each_photo(saved_model):
    signature = tf.saved_model.load(str(saved_model)).signatures["explain"]
    heatmap = signature(image_bytes=tf.constant(PHOTOS[:4]))["heatmap"].numpy()
    assert heatmap.dtype == np.float32 and heatmap.shape == (4, 10, 10)
    assert heatmap.min() >= 0 and heatmap.max() <= 1


def test_export_has_every_weight_once(model, saved_model):
    shapes = tf.train.load_checkpoint(str(saved_model / "variables" / "variables")).get_variable_to_shape_map()
    weights = [shape for name, shape in shapes.items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    expected = [weight for layer in model.layers for weight in layer.weights]
    assert sorted(map(tuple, weights)) == sorted(tuple(weight.shape) for weight in expected)


def test_dropout_is_off_in_the_exported_model(saved_model):
    classify = validate.load_signature(saved_model)
    np.testing.assert_array_equal(classify(PHOTOS[:3]).scores, classify(PHOTOS[:3]).scores)


def test_warmup_requests_fit_the_signature(saved_model):
    path = saved_model / "assets.extra" / "tf_serving_warmup_requests"
    signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    sizes = []
    for record in tf.data.TFRecordDataset(str(path)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert (request.model_spec.name, request.model_spec.signature_name) == ("pilah", "serving_default")
        batch = tf.make_ndarray(request.inputs["image_bytes"])
        signature(image_bytes=tf.constant(batch))
        sizes.append(len(batch))
    assert sizes == [1, 8, 32]


def test_second_export_replaces_the_first(model, tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "old").write_text("")
    exported_models.write(model, CLASSES, tmp_path / "export", PHOTOS[:1])
    assert not (tmp_path / "export" / "old").exists()
    assert (tmp_path / "export" / "saved_model.pb").exists()


def test_plain_bytes_and_original_file_have_equal_scores(saved_model):
    classify = validate.load_signature(saved_model)
    plain = [images.plain_bytes(data, 10**6)[0] for data in PHOTOS]
    np.testing.assert_array_equal(classify(plain).scores, classify(PHOTOS).scores)
