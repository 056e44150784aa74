import keras
import numpy as np
import pytest

from components.models import assembly, tta

SIZE_PX = 16


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(1).integers(0, 256, (3, SIZE_PX, SIZE_PX, 3), np.uint8)


def view_of(pixels, view):
    return keras.ops.convert_to_numpy(tta.transform(pixels, view))


def test_views_are_unchanged_mirrored_cropped_and_both(pixels):
    np.testing.assert_array_equal(view_of(pixels, 0), pixels)
    np.testing.assert_array_equal(view_of(pixels, 1), pixels[:, :, ::-1])
    framed = np.zeros_like(pixels)
    framed[:, 1:-1, 1:-1] = 200
    assert (view_of(framed, 2) == 200).all(), "the edge is not cropped"
    np.testing.assert_array_equal(view_of(pixels, 3), view_of(pixels, 2)[:, :, ::-1])
    assert view_of(pixels, 3).dtype == np.uint8 and view_of(pixels, 3).shape == pixels.shape


@pytest.mark.parametrize("views", [1, 2, 4])
def test_saved_model_averages_the_scores_of_the_views(pixels, tmp_path, views):
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.ops.cast(inputs, "float32") / 255)
    model = keras.Model(inputs, keras.layers.Dense(4, "softmax")(x))
    expected = np.mean([model(view_of(pixels, view)) for view in range(views)], axis=0)
    assembly.save(tta.averaged(model, views), tmp_path / "model.keras")
    np.testing.assert_allclose(assembly.load(tmp_path / "model.keras")(pixels), expected, atol=1e-6)
