"""A backbone trained together with its head: built afresh, fitted from pixels, and gone on with after a kill."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils.class_weight import compute_sample_weight

from components.base import artifacts, metrics, settings
from components.data import augment, pixels
from components.models import assembly, backbones, head

RAMP = 0.1  # share of the steps in which the learning rate of schedule "cosine" rises
HISTORY = ("loss", "accuracy")
DIVERGED = "Training diverged: lower --finetuning-rate (or --learning-rate) or set --clip-norm."
MEMBER_SEEDS_APART = 1000  # further than the seeds of folds


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that a model depends on beside its photos.

    Attributes:
        weights: what the backbone starts from.
        weight_decay: of AdamW; the other optimizers have none.
        seed: of the head's first weights, the dropout masks and the augmented views.
        flips: of the augmented views, see augment.Augmentation.
        precision: "float32", or "bfloat16", in which the backbone computes; its weights and the head stay in float32.
    """

    backbone: str
    weights: backbones.Weights
    image_size_px: int
    classes: int
    optimizer: str
    dropout: float
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int
    seed: int
    precision: str = "float32"
    options: settings.Finetuning = settings.Finetuning()
    flips: str = "horizontal"


def build(recipe: Recipe) -> keras.Model:
    """A new model, not compiled yet: uint8 RGB [n, size, size, 3] -> scores, float32 [n, classes]."""
    channels = backbones.BACKBONES[recipe.backbone].channels
    new_head = head.untrained(channels, recipe.classes, recipe.dropout, recipe.seed)
    return assembly.assemble(recipe.backbone, recipe.weights, recipe.image_size_px, new_head, recipe.precision)


def fit(
    recipe: Recipe,
    examples: pixels.Examples,
    rows: np.ndarray,
    seed: int,
    state: pathlib.Path,
    on_epoch: Callable[[], object] = lambda: None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """A new model trained on `rows`, which computes in float32 from now on, and loss and accuracy of each epoch.

    Epoch e sees view 1 + e of every row once (oversampling: of as many draws), in an order drawn from `seed` and e.
    Where `examples` have a trunk, what stands on it is trained alone, as `unfreeze` has it. Loss and accuracy of an
    ensemble are the means of its members', which are trained one after another.

    Args:
        rows: int64 [m], the photos to train on.
        state: how the names of the files begin that hold everything after each epoch, one a member. Where they are
            there, training goes on from them and ends as if it had never stopped; the caller vouches that they were
            made by the same call, and clears them when what it returned is safe.
        on_epoch: called when they hold one more.

    Raises:
        NotFiniteError: training diverged.
    """
    fitted = [
        _fit_member(recipe, examples, rows, seed, member, _state_file(state, member), on_epoch)
        for member in range(recipe.options.ensemble)
    ]
    models, histories = zip(*fitted, strict=True)
    means = {name: np.mean([history[name] for history in histories], axis=0).tolist() for name in HISTORY}
    return _averaged(models, recipe), means


def _fit_member(
    recipe: Recipe,
    examples: pixels.Examples,
    rows: np.ndarray,
    seed: int,
    member: int,
    state: pathlib.Path,
    on_epoch: Callable[[], object],
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Model and history of member `member`, from 0, whose `state` is a file; as in `fit`."""
    started, apart = time.monotonic() - _spent(state)[1], member * MEMBER_SEEDS_APART
    model = build(dataclasses.replace(recipe, seed=recipe.seed + apart))
    learner = model
    if examples.trunk:
        _, learner = backbones.split(model, recipe.backbone, recipe.options.unfreeze)  # they share their layers
    steps = -(-len(rows) // recipe.batch_size)
    history = _restore(model, learner, recipe, steps, state)
    for epoch in range(len(history["loss"]), recipe.epochs):
        if epoch in (0, recipe.options.warmup_epochs):
            prepare(model, learner, recipe, steps, epoch)
        logs = learner.fit(batches(recipe, examples, rows, epoch, seed + apart), shuffle=False, verbose=0).history
        for name in HISTORY:
            history[name].append(float(logs[name][0]))
        _check_finite(learner, history["loss"])
        _save(learner, history, time.monotonic() - started, state)
        on_epoch()
    return _in_float32(model, recipe), history


def _check_finite(learner: keras.Model, losses: Sequence[float]) -> None:
    """Raise where training has diverged; the weights tell it too, as the loss of nan under XLA is a number."""
    metrics.check_finite(np.array(losses), "Losses of epochs", DIVERGED)
    weights = [keras.ops.convert_to_numpy(variable).ravel() for variable in learner.trainable_variables]
    metrics.check_finite(np.concatenate(weights)[np.newaxis], "Weights", DIVERGED)


def predict(model: keras.Model, photos: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Scores, float32 [m, classes], of the photos `rows`, int64 [m], not augmented.

    Raises:
        NotFiniteError: some are nan or infinite.
    """
    model.jit_compile = _needs_xla()
    scores = model.predict(pixels.clean(photos, rows), verbose=0)
    metrics.check_finite(scores, "Probabilities", DIVERGED)
    return scores


def batches(recipe: Recipe, examples: pixels.Examples, rows: np.ndarray, epoch: int, seed: int) -> tf.data.Dataset:
    """What `fit` trains on in an epoch: (pixels or activations, targets, weights) of a batch each."""
    draw, labels = np.random.Generator(np.random.Philox([seed, epoch])), examples.labels[rows]
    weights = compute_sample_weight(None if recipe.options.balance == "none" else "balanced", labels)
    if recipe.options.balance == "oversampling":
        places = draw.choice(len(rows), len(rows), p=weights / weights.sum())
        weights = np.ones(len(rows))
    else:
        places = draw.permutation(len(rows))
    picks, weights = rows[places], weights[places].astype(np.float32)
    targets = np.eye(recipe.classes, dtype=np.float32)[labels[places]]
    augmentation = augment.Augmentation(recipe.seed, recipe.flips)
    return pixels.augmented(examples, picks, targets, weights, 1 + epoch, augmentation, recipe.batch_size)


def prepare(model: keras.Model, learner: keras.Model, recipe: Recipe, steps: int, epoch: int) -> None:
    """Make `learner` ready for `epoch` and those after it, with a new optimizer for what learns in them."""
    warming_up = epoch < recipe.options.warmup_epochs
    unfrozen = "none" if warming_up else recipe.options.unfreeze
    backbones.unfreeze(model, recipe.backbone, unfrozen, recipe.options.batchnorm)
    rate = recipe.learning_rate if warming_up else _learning_rate(recipe, steps)
    learner.compile(
        head.new_optimizer(recipe.optimizer, rate, recipe.weight_decay, recipe.options.clip_norm),
        keras.losses.CategoricalCrossentropy(label_smoothing=recipe.options.label_smoothing),
        metrics=["accuracy"],
        jit_compile=recipe.options.xla or _needs_xla(),
    )
    learner.optimizer.build(learner.trainable_variables)


def _learning_rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if recipe.options.schedule == "constant":
        return recipe.learning_rate
    total = steps * (recipe.epochs - recipe.options.warmup_epochs)
    ramp = max(1, round(RAMP * total))
    return keras.optimizers.schedules.CosineDecay(
        0.0, total - ramp, warmup_target=recipe.learning_rate, warmup_steps=ramp
    )


def _needs_xla() -> bool:
    """JAX does; TensorFlow's own kernels start at once, without a network to compile first."""
    return keras.config.backend() == "jax"


def _in_float32(model: keras.Model, recipe: Recipe) -> keras.Model:
    """A model of the same weights, which are float32 in any precision."""
    if recipe.precision == "float32":
        return model
    copy = build(dataclasses.replace(recipe, precision="float32"))
    copy.set_weights(model.get_weights())
    return copy


def _averaged(models: Sequence[keras.Model], recipe: Recipe) -> keras.Model:
    """One model whose scores are the means of those of `models`.

    What all of them left frozen runs once, and is rounded to float16 as a trunk on disk is.
    """
    if len(models) == 1:
        return models[0]
    seen = pixels_in = keras.Input(models[0].input_shape[1:], dtype="uint8", name="pixels")
    part, members = recipe.options.unfreeze, models
    if part != "all":
        halves = [backbones.split(model, recipe.backbone, part) for model in models]
        seen, members = halves[0][0](pixels_in), [upper for _, upper in halves]
    named = [keras.Model(one.input, one.output, name=f"member_{number}") for number, one in enumerate(members)]
    scores = keras.ops.mean(keras.ops.stack([one(seen) for one in named]), axis=0)
    return keras.Model(pixels_in, scores, name=models[0].name)


def spent(state: pathlib.Path) -> tuple[int, float]:
    """How many epochs the files of `state` hold, and the seconds that they took in all runs of `fit` together."""
    each = [_spent(file) for file in _state_files(state)]
    return sum(epochs for epochs, _ in each), sum(seconds for _, seconds in each)


def clear(state: pathlib.Path) -> None:
    """Remove the files of `state`."""
    for file in _state_files(state):
        file.unlink(missing_ok=True)


def _spent(file: pathlib.Path) -> tuple[int, float]:
    with contextlib.suppress(FileNotFoundError), np.load(file) as saved:
        return saved["history"].shape[1], float(saved["seconds"])
    return 0, 0.0


def _state_file(state: pathlib.Path, member: int) -> pathlib.Path:
    return state.with_name(f"{state.name}.{member}.npz")


def _state_files(state: pathlib.Path) -> list[pathlib.Path]:
    return sorted(state.parent.glob(f"{state.name}.*.npz"))


def _save(learner: keras.Model, history: dict[str, list[float]], seconds: float, path: pathlib.Path) -> None:
    values = [keras.ops.convert_to_numpy(variable) for variable in _variables(learner)]
    with artifacts.atomic_write(path) as part:
        np.savez(part, *values, seconds=seconds, history=[history[name] for name in HISTORY])


def _restore(
    model: keras.Model, learner: keras.Model, recipe: Recipe, steps: int, path: pathlib.Path
) -> dict[str, list[float]]:
    """Bring `learner` to where `_save` left it; returns the history, which is empty where nothing was saved."""
    if not path.exists():
        return {name: [] for name in HISTORY}
    with np.load(path) as saved:
        history = dict(zip(HISTORY, saved["history"].tolist(), strict=True))
        prepare(model, learner, recipe, steps, epoch=len(history["loss"]) - 1)
        for index, variable in enumerate(_variables(learner)):
            variable.assign(saved[f"arr_{index}"])
    return history


def _variables(learner: keras.Model) -> list[keras.Variable]:
    return [*learner.variables, *learner.optimizer.variables]
