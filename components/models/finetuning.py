"""Fine-tuning of a backbone together with its head, with checkpoints to resume from."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils.class_weight import compute_sample_weight

from components.base import metrics, seeds, settings
from components.data import augmentation, pixels
from components.models import anatomy, assembly, backbones, checkpoints, covariance_head, head

RAMP = 0.1  # share of the steps in which the learning rate rises, with schedule "cosine"
DIVERGED = "Training diverged: lower --finetuning-rate (or --learning-rate) or set --clip-norm."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a fine-tuned model depends on, except its photos.

    Attributes:
        weights: initial weights of the backbone.
        weight_decay: used only by AdamW.
        seed: seed of the initial weights of the head, the dropout masks and the augmented views.
        precision: dtype in which the backbone computes; its weights and the head are always float32.
        covariance_weights: initial weights of the backbones of covariance heads.
    """

    backbone: settings.Backbone
    weights: backbones.Weights
    image_size_px: int
    classes: int
    optimizer: settings.Optimizer
    dropout: float
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int
    seed: int
    precision: settings.ComputeDtype = "float32"
    options: settings.Finetuning = settings.Finetuning()
    flips: settings.Flips = "horizontal"
    augmentation_kind: settings.AugmentationKind = "affine"
    hidden_units: int = settings.HIDDEN_UNITS
    covariance_weights: Mapping[settings.Backbone, backbones.Weights] = dataclasses.field(default_factory=dict)


def build(recipe: Recipe) -> keras.Model:
    """Return a new model, not compiled: uint8 RGB [n, size, size, 3] -> scores, float32 [n, classes]."""
    channels = backbones.BACKBONES[recipe.backbone].channels
    new_head = head.untrained(channels, recipe.classes, recipe.dropout, recipe.seed, recipe.hidden_units)
    return assembly.assemble(
        recipe.backbone,
        recipe.weights,
        image_size_px=recipe.image_size_px,
        trained_head=new_head,
        precision=recipe.precision,
    )


def fit(
    recipe: Recipe,
    examples: pixels.Examples,
    rows: np.ndarray,
    *,
    seed: int,
    checkpoint: pathlib.Path,
    covariance_activations: Mapping[settings.FrozenLayers, Sequence[np.ndarray]] | None = None,
    on_epoch: Callable[[], object] = lambda: None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Train a new model on `rows`; return it as a float32 model, with the loss and accuracy of each epoch.

    Epoch e uses view 1 + e of every row once (of as many random rows, with oversampling), in an order that depends on
    `seed` and e. If `examples` have frozen activations, only the layers above them are trained. The members of an
    ensemble are trained one after another, and the history is the mean of their histories. Covariance heads come last,
    and have no epochs. The means of their loss and accuracy are returned if there is no fine-tuned model.

    Args:
        rows: int64 [m], the photos to train on.
        checkpoint: path prefix of the checkpoints. There is one file for each member of the model, written after
            each epoch. Training resumes from existing checkpoints, with the same result as without the interruption.
            The caller must make sure that they are of the same call, and clear them after saving the result.
        covariance_activations: float16 [photos, height, width, channels] for each covariance head, of each test-time
            view; heads are fitted to the first, the clean photos. Not needed if all heads have checkpoints.
        on_epoch: called after each checkpoint.

    Raises:
        NotFiniteError: training diverged.
    """
    fitted = [
        _fit_member(
            recipe,
            examples,
            rows,
            seed=seed,
            member=member,
            checkpoint=checkpoints.of_member(checkpoint, member),
            on_epoch=on_epoch,
        )
        for member in range(recipe.options.ensemble)
    ]
    for member, source in enumerate(recipe.options.covariance_heads, start=recipe.options.ensemble):
        state = checkpoints.of_member(checkpoint, member)
        if state.exists():
            fitted.append(_restored_covariance_head(recipe, source, state))
        else:
            assert covariance_activations
            fitted.append(_fit_covariance_head(recipe, covariance_activations[source][0], examples.labels, rows, state))
        on_epoch()
    models, all_histories = zip(*fitted, strict=True)
    histories = all_histories[: recipe.options.ensemble] or all_histories
    means = {name: np.mean([history[name] for history in histories], axis=0).tolist() for name in checkpoints.HISTORY}
    return _averaged(models, recipe), means


def _fit_member(
    recipe: Recipe,
    examples: pixels.Examples,
    rows: np.ndarray,
    *,
    seed: int,
    member: int,
    checkpoint: pathlib.Path,
    on_epoch: Callable[[], object],
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Train the ensemble member number `member`, from 0, with the file `checkpoint`. The rest is as in `fit`."""
    started = time.monotonic() - checkpoints.progress_of_member(checkpoint)[1]
    model = build(dataclasses.replace(recipe, seed=_member_seed(recipe.seed, member)))
    learner = model
    if examples.frozen_activations:
        _, learner = backbones.split(model, recipe.backbone, recipe.options.unfreeze)  # both share their layers
    steps = -(-len(rows) // recipe.batch_size)
    history = _restore(model, learner, recipe, steps=steps, checkpoint=checkpoint)
    for epoch in range(len(history["loss"]), recipe.epochs):
        if epoch in (0, recipe.options.warmup_epochs):
            prepare(model, learner, recipe, steps=steps, epoch=epoch)
        epoch_batches = batches(recipe, examples, rows, epoch=epoch, seed=_member_seed(seed, member))
        logs = learner.fit(epoch_batches, shuffle=False, verbose=0).history
        for name in checkpoints.HISTORY:
            history[name].append(float(logs[name][0]))
        _check_finite(learner, history["loss"])
        checkpoints.save(_variables(learner), history, time.monotonic() - started, checkpoint)
        on_epoch()
    return _in_float32(model, recipe), history


def _fit_covariance_head(
    recipe: Recipe, activations: np.ndarray, labels: np.ndarray, rows: np.ndarray, checkpoint: pathlib.Path
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Return a covariance head fitted to `rows`, with its loss and accuracy, and write it to `checkpoint`."""
    started = time.monotonic()
    is_balanced = recipe.options.balance != "none"
    fitted, scores = covariance_head.fit(
        activations, labels, rows=rows, classes=recipe.classes, is_balanced=is_balanced
    )
    history = {name: [scores[name]] for name in checkpoints.HISTORY}
    checkpoints.save(fitted.variables, history, time.monotonic() - started, checkpoint)
    return fitted, history


def _restored_covariance_head(
    recipe: Recipe, source: settings.FrozenLayers, checkpoint: pathlib.Path
) -> tuple[keras.Model, dict[str, list[float]]]:
    model = backbones.build(
        source.backbone, recipe.covariance_weights[source.backbone], recipe.image_size_px, "float32"
    )
    (activations,) = backbones.frozen_layers(model, source.backbone, [source.part]).outputs
    restored = covariance_head.untrained(activations.shape[1:], recipe.classes)
    return restored, checkpoints.load(restored.variables, checkpoint)


def _member_seed(seed: int, member: int) -> int:
    """Return the seed of a member; the first one uses `seed`, like a single model."""
    return seeds.derive(seed, seeds.MEMBER, member) if member else seed


def _check_finite(learner: keras.Model, losses: Sequence[float]) -> None:
    """Raise NotFiniteError if training diverged; weights are checked because XLA can return a finite loss for nan."""
    metrics.check_finite(np.array(losses), "Losses of epochs", DIVERGED)
    weights = [keras.ops.convert_to_numpy(variable).ravel() for variable in learner.trainable_variables]
    metrics.check_finite(np.concatenate(weights)[np.newaxis], "Weights", DIVERGED)


def predict(model: keras.Model, photos: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the scores, float32 [m, classes], of the photos `rows`, int64 [m], not augmented.

    Raises:
        NotFiniteError: some scores are nan or infinite.
    """
    return _checked_scores(model, pixels.clean(photos, rows))


def predict_members(
    model: keras.Model,
    recipe: Recipe,
    rows: np.ndarray,
    examples: pixels.Examples,
    covariance_activations: Mapping[settings.FrozenLayers, Sequence[np.ndarray]],
) -> np.ndarray:
    """Return the scores by each member of a model from `fit`, float32 [members, m, classes], from frozen activations.

    They are averaged over the test-time views. Their means over the members are the scores of `model`.

    Args:
        model: a model with covariance heads.
        rows: int64 [m], the photos.
        examples, covariance_activations: as in `fit`, the first with frozen activations of the test-time views if there
            are fine-tuned members.

    Raises:
        NotFiniteError: some scores are nan or infinite.
    """
    views_of_members = [examples.tested_activations or ()] * recipe.options.ensemble
    views_of_members += [covariance_activations[of_head] for of_head in recipe.options.covariance_heads]
    return np.stack(
        [
            np.mean([_checked_scores(member, pixels.clean(view, rows)) for view in views], axis=0)
            for member, views in zip(anatomy.members(model), views_of_members, strict=True)
        ]
    )


def _checked_scores(model: keras.Model, inputs: tf.data.Dataset) -> np.ndarray:
    model.jit_compile = _needs_xla()
    scores = model.predict(inputs, verbose=0)
    metrics.check_finite(scores, "Probabilities", DIVERGED)
    return scores


def batches(recipe: Recipe, examples: pixels.Examples, rows: np.ndarray, *, epoch: int, seed: int) -> tf.data.Dataset:
    """Return the batches of an epoch: (pixels or frozen activations, targets, sample weights)."""
    rng, labels = np.random.Generator(np.random.Philox([seed, epoch])), examples.labels[rows]
    weights = compute_sample_weight(None if recipe.options.balance == "none" else "balanced", labels)
    if recipe.options.balance == "oversampling":
        order = rng.choice(len(rows), len(rows), p=weights / weights.sum())
        weights = np.ones(len(rows))
    else:
        order = rng.permutation(len(rows))
    return pixels.augmented(
        examples,
        rows[order],
        targets=np.eye(recipe.classes, dtype=np.float32)[labels[order]],
        weights=weights[order].astype(np.float32),
        view=1 + epoch,
        augmentation=augmentation.Augmentation(recipe.seed, recipe.flips, recipe.augmentation_kind),
        batch_size=recipe.batch_size,
    )


def prepare(model: keras.Model, learner: keras.Model, recipe: Recipe, *, steps: int, epoch: int) -> None:
    """Compile `learner` for `epoch` and later ones, with a new optimizer for the layers that are trained then."""
    warming_up = epoch < recipe.options.warmup_epochs
    part = "none" if warming_up else recipe.options.unfreeze
    backbones.unfreeze(model, recipe.backbone, part, recipe.options.batchnorm)
    rate = recipe.learning_rate if warming_up else _learning_rate(recipe, steps)
    learner.compile(
        head.new_optimizer(recipe.optimizer, rate, recipe.weight_decay, recipe.options.clip_norm),
        keras.losses.CategoricalCrossentropy(label_smoothing=recipe.options.label_smoothing),
        metrics=["accuracy"],
        jit_compile=recipe.options.xla or _needs_xla(),
    )
    learner.optimizer.build(learner.trainable_variables)
    no_scores = np.zeros((1, recipe.classes), np.float32)
    # build the metrics now; Keras would build them in the first step, and trace it twice
    learner.compute_metrics(None, no_scores, no_scores)
    learner.reset_metrics()


def _learning_rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if recipe.options.schedule == "constant":
        return recipe.learning_rate
    total = steps * (recipe.epochs - recipe.options.warmup_epochs)
    ramp = max(1, round(RAMP * total))
    return keras.optimizers.schedules.CosineDecay(
        0.0, total - ramp, warmup_target=recipe.learning_rate, warmup_steps=ramp
    )


def _needs_xla() -> bool:
    """Return whether Keras runs on JAX; TensorFlow runs networks without compiling them."""
    return keras.config.backend() == "jax"


def _in_float32(model: keras.Model, recipe: Recipe) -> keras.Model:
    """Return a model that computes in float32, with the weights of `model`."""
    if recipe.precision == "float32":
        return model
    copy = build(dataclasses.replace(recipe, precision="float32"))
    copy.set_weights(model.get_weights())
    return copy


def _averaged(models: Sequence[keras.Model], recipe: Recipe) -> keras.Model:
    """Return one model of pixels whose scores are the means of the scores of `models`, the members.

    The layers of a backbone that are frozen in all members run only once, and their activations are float16, as on
    disk.
    """
    fine_tuned, heads = models[: recipe.options.ensemble], models[recipe.options.ensemble :]
    if len(models) == 1 and fine_tuned:
        return fine_tuned[0]
    size, part = recipe.image_size_px, recipe.options.unfreeze
    pixels_input = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    members = [(model, pixels_input) for model in fine_tuned]
    frozen = _frozen_activations(recipe, pixels_input) if part != "all" else {}
    if part != "all":
        upper = [backbones.split(model, recipe.backbone, part)[1] for model in fine_tuned]
        members = [(model, frozen[settings.FrozenLayers(recipe.backbone, part)]) for model in upper]
    members += [(model, frozen[source]) for model, source in zip(heads, recipe.options.covariance_heads, strict=True)]
    scores = [
        keras.Model(model.input, model.output, name=anatomy.MEMBER.format(number))(inputs)
        for number, (model, inputs) in enumerate(members)
    ]
    return keras.Model(pixels_input, keras.ops.mean(keras.ops.stack(scores), axis=0), name="pilah")


def _frozen_activations(
    recipe: Recipe, pixels_input: keras.KerasTensor
) -> dict[settings.FrozenLayers, keras.KerasTensor]:
    """Return the activations that the members read; those below `unfreeze` are the first output of the trunk."""
    layers_of_fine_tuned = settings.FrozenLayers(recipe.backbone, recipe.options.unfreeze)
    sources = list(dict.fromkeys([layers_of_fine_tuned, *recipe.options.covariance_heads]))
    frozen: dict[settings.FrozenLayers, keras.KerasTensor] = {}
    for backbone in dict.fromkeys(source.backbone for source in sources):
        of_backbone = [source for source in sources if source.backbone == backbone]
        is_trunk = backbone == recipe.backbone
        weights = recipe.weights if is_trunk else recipe.covariance_weights[backbone]
        model = backbones.build(backbone, weights, recipe.image_size_px, "float32")
        lower = backbones.frozen_layers(model, backbone, [source.part for source in of_backbone])
        layers = keras.Model(lower.input, lower.outputs, name=anatomy.TRUNK if is_trunk else f"frozen_{backbone}")
        frozen |= zip(of_backbone, layers(pixels_input), strict=True)
    return frozen


def _restore(
    model: keras.Model, learner: keras.Model, recipe: Recipe, *, steps: int, checkpoint: pathlib.Path
) -> dict[str, list[float]]:
    """Restore `learner` from the file `checkpoint`; return the history, which is empty without a checkpoint."""
    epochs = checkpoints.progress_of_member(checkpoint)[0]
    if not epochs:
        return {name: [] for name in checkpoints.HISTORY}
    prepare(model, learner, recipe, steps=steps, epoch=epochs - 1)
    return checkpoints.load(_variables(learner), checkpoint)


def _variables(learner: keras.Model) -> list[keras.Variable]:
    return [*learner.variables, *learner.optimizer.variables]
