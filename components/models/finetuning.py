"""Fine-tuning of a backbone together with its head, with checkpoints to resume from."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils.class_weight import compute_sample_weight

from components.base import artifacts, metrics, seeds, settings
from components.data import augmentation, pixels
from components.models import assembly, backbones, head

RAMP = 0.1  # share of the steps in which the learning rate rises, with schedule "cosine"
HISTORY = ("loss", "accuracy")
DIVERGED = "Training diverged: lower --finetuning-rate (or --learning-rate) or set --clip-norm."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a fine-tuned model depends on, except its photos.

    Attributes:
        weights: initial weights of the backbone.
        weight_decay: used only by AdamW.
        seed: seed of the initial weights of the head, the dropout masks and the augmented views.
        precision: dtype in which the backbone computes; its weights and the head are always float32.
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
    on_epoch: Callable[[], object] = lambda: None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Train a new model on `rows`; return it as a float32 model, with the loss and accuracy of each epoch.

    Epoch e uses view 1 + e of every row once (of as many random rows, with oversampling), in an order that depends on
    `seed` and e. If `examples` have frozen activations, only the layers above them are trained. The members of an
    ensemble are trained one after another, and the history is the mean of their histories.

    Args:
        rows: int64 [m], the photos to train on.
        checkpoint: path prefix of the checkpoints. There is one file for each member of the ensemble, written after
            each epoch. Training resumes from existing checkpoints, with the same result as without the interruption.
            The caller must make sure that they are of the same call, and clear them after saving the result.
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
            checkpoint=_member_checkpoint(checkpoint, member),
            on_epoch=on_epoch,
        )
        for member in range(recipe.options.ensemble)
    ]
    models, histories = zip(*fitted, strict=True)
    means = {name: np.mean([history[name] for history in histories], axis=0).tolist() for name in HISTORY}
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
    started = time.monotonic() - _member_progress(checkpoint)[1]
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
        for name in HISTORY:
            history[name].append(float(logs[name][0]))
        _check_finite(learner, history["loss"])
        _save(learner, history, time.monotonic() - started, checkpoint)
        on_epoch()
    return _in_float32(model, recipe), history


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
    model.jit_compile = _needs_xla()
    scores = model.predict(pixels.clean(photos, rows), verbose=0)
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
    """Return one model whose scores are the means of the scores of `models`.

    The layers that are frozen in all models run only once, and their activations are float16, as on disk.
    """
    if len(models) == 1:
        return models[0]
    member_inputs = inputs = keras.Input(models[0].input_shape[1:], dtype="uint8", name="pixels")
    part, members = recipe.options.unfreeze, models
    if part != "all":
        halves = [backbones.split(model, recipe.backbone, part) for model in models]
        member_inputs, members = halves[0][0](inputs), [upper for _, upper in halves]
    named = [keras.Model(model.input, model.output, name=f"member_{number}") for number, model in enumerate(members)]
    scores = keras.ops.mean(keras.ops.stack([model(member_inputs) for model in named]), axis=0)
    return keras.Model(inputs, scores, name=models[0].name)


def checkpoint_progress(checkpoint: pathlib.Path) -> tuple[int, float]:
    """Return the number of epochs in the checkpoints of `fit`, and the training seconds of all runs so far."""
    members = [_member_progress(path) for path in _member_checkpoints(checkpoint)]
    return sum(epochs for epochs, _ in members), sum(seconds for _, seconds in members)


def clear(checkpoint: pathlib.Path) -> None:
    """Remove the checkpoints of `fit`."""
    for path in _member_checkpoints(checkpoint):
        path.unlink(missing_ok=True)


def _member_progress(path: pathlib.Path) -> tuple[int, float]:
    with contextlib.suppress(FileNotFoundError), np.load(path) as saved:
        return saved["history"].shape[1], float(saved["seconds"])
    return 0, 0.0


def _member_checkpoint(checkpoint: pathlib.Path, member: int) -> pathlib.Path:
    return checkpoint.with_name(f"{checkpoint.name}.{member}.npz")


def _member_checkpoints(checkpoint: pathlib.Path) -> list[pathlib.Path]:
    return sorted(checkpoint.parent.glob(f"{checkpoint.name}.*.npz"))


def _save(learner: keras.Model, history: dict[str, list[float]], seconds: float, path: pathlib.Path) -> None:
    values = [keras.ops.convert_to_numpy(variable) for variable in _variables(learner)]
    with artifacts.atomic_write(path) as part:
        np.savez(part, *values, seconds=seconds, history=[history[name] for name in HISTORY])


def _restore(
    model: keras.Model, learner: keras.Model, recipe: Recipe, *, steps: int, checkpoint: pathlib.Path
) -> dict[str, list[float]]:
    """Restore `learner` from the file `checkpoint`; return the history, which is empty without a checkpoint."""
    if not checkpoint.exists():
        return {name: [] for name in HISTORY}
    with np.load(checkpoint) as saved:
        history = dict(zip(HISTORY, saved["history"].tolist(), strict=True))
        prepare(model, learner, recipe, steps=steps, epoch=len(history["loss"]) - 1)
        for index, variable in enumerate(_variables(learner)):
            variable.assign(saved[f"arr_{index}"])
    return history


def _variables(learner: keras.Model) -> list[keras.Variable]:
    return [*learner.variables, *learner.optimizer.variables]
