"""The parts of a trained model that its outputs beside the scores are computed from: embedding and maps.

A model is a backbone with its head, or averages such models (members), or is one of both that runs on several test-time
views.
"""

from collections.abc import Sequence
from typing import Any

import keras

from components.base import settings
from components.models import backbones, tta

# layers of an averaged model: frozen layers of its backbone that members share, whose first output has the activations
# below the part that is fine-tuned, and the layers of each member
TRUNK, MEMBER = "trunk", "member_{}"
POOLED, HEAD = "pooled", "head"  # layers of each member
WHITENING = "whitening"  # first layer of the pooling of a covariance head


def single_view(model: keras.Model) -> keras.Model:
    """Return the model that `tta.averaged` runs on each view; `model` itself if it has one view."""
    return next((layer for layer in model.layers if layer.name == model.name), model)


def members(model: keras.Model) -> list[keras.Model]:
    """Return the members of a model of one view that averages several; `model` itself if it does not."""
    layers = {layer.name: layer for layer in model.layers}
    numbered = [layers[name] for number in range(len(layers)) if (name := MEMBER.format(number)) in layers]
    return numbered or [model]


def with_embedding(
    model: keras.Model, backbone: settings.Backbone, below: settings.Unfreeze | None, views: int
) -> keras.Model:
    """Return a model of pixels -> (scores of `model`, embedding of the first view) that runs every layer as often.

    The embedding, float32 [n, channels], has the pooled activations of the layers below `below`, see backbones.split.
    With None it has those of all layers before the head, in the first member.

    Args:
        model: uint8 RGB [n, size, size, 3] -> scores, float32 [n, classes].
        views: number of its test-time views.
    """
    parts = _single_view_with_embedding(single_view(model), backbone, below)
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    outputs = [parts(tta.transform(pixels, view)) for view in range(views)]
    return keras.Model(pixels, [_mean([scores for scores, _ in outputs]), outputs[0][1]], name=model.name)


def embedding(model: keras.Model, backbone: settings.Backbone, below: settings.Unfreeze | None) -> keras.Model:
    """Return a model of pixels -> embedding alone, see `with_embedding`."""
    parts = _single_view_with_embedding(single_view(model), backbone, below)
    return keras.Model(parts.input, parts.outputs[1], name=f"{model.name}_embedding")


def with_maps(model: keras.Model) -> keras.Model:
    """Return a model of pixels -> (scores, maps of each member), of the first test-time view of `model`.

    Maps are activations before pooling, float32 [n, height, width, channels]. Members may differ in their shape.
    """
    model = single_view(model)
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    _, calls = _run(model, pixels)
    outputs = [
        keras.Model(member.input, [member.output, _maps(member)])(calls.get(member.name, (pixels,))[0])
        for member in members(model)
    ]
    return keras.Model(pixels, [_mean([scores for scores, _ in outputs]), *(maps for _, maps in outputs)])


def pooling(member: keras.Model) -> keras.Model:
    """Return the part of `member` that turns its maps into what its head takes, float32 [n, channels]."""
    return keras.Model(_maps(member), member.get_layer(POOLED).output)


def _run(
    model: keras.Model, pixels: keras.KerasTensor
) -> tuple[keras.KerasTensor, dict[str, tuple[keras.KerasTensor, Any]]]:
    """Run `model` on `pixels`; return its scores, and layer -> its (input, output)."""
    calls = {}

    def record(layer: keras.Layer, *inputs: Any, **keywords: Any) -> Any:
        output = layer(*inputs, **keywords)
        calls[layer.name] = inputs[0], output
        return output

    ran = keras.models.clone_model(model, pixels, lambda layer: layer, record)
    return ran.output, calls


def _maps(member: keras.Model) -> keras.KerasTensor:
    layers = {layer.name: layer for layer in member.layers}
    return layers.get(WHITENING, layers[POOLED]).input


def _single_view_with_embedding(
    model: keras.Model, backbone: settings.Backbone, below: settings.Unfreeze | None
) -> keras.Model:
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    member_list = members(model)
    if TRUNK in [layer.name for layer in model.layers]:
        scores, calls = _run(model, pixels)
        return keras.Model(pixels, [scores, backbones.pooled(keras.tree.flatten(calls[TRUNK][1])[0])])
    if below:
        return backbones.with_embedding(model, backbone, below)
    outputs = [
        keras.Model(member.input, [member.output, member.get_layer(POOLED).output])(pixels) for member in member_list
    ]
    return keras.Model(pixels, [_mean([scores for scores, _ in outputs]), outputs[0][1]])


def _mean(scores: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    return keras.ops.mean(keras.ops.stack(scores), axis=0) if len(scores) > 1 else scores[0]
