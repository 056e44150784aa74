"""The configuration of a run: every option with its default, and what each profile changes."""

import dataclasses
import json
import pathlib
from typing import Any, Literal, get_args

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.base.settings import option
from pipeline import run_folder, setting_types
from tuner.search_space import SearchSpace

StageName = Literal[
    "photos",
    "dataset",
    "features",
    "search",
    "refine",
    "choice",
    "model",
    "calibration",
    "export",
    "validate",
    "push",
    "report",
]
STAGES: tuple[StageName, ...] = get_args(StageName)
# scikit-learn's seeds must be below 2**32, and the audit draws folds with the next ones too
MAX_SEED = 2**31 - 1
Profile = Literal["thesis", "finetuned", "covariance", "demo"]
PROFILES: dict[Profile, dict[str, Any]] = {
    "thesis": {},
    # the best fine-tuned model on the thesis's photos (docs/results.md): one frozen scenario, then fine-tuned
    "finetuned": {
        "image_size_px": 320,
        "views": 1,  # of the frozen scenario, which is only a baseline
        "flips": "both",
        "backbones": ("DenseNet121",),
        "optimizers": ("Adam",),
        "dropouts": (0.0,),
        "refine": 1,
        "unfreeze": "top",
        "batchnorm": "trained",
        "finetuning_rate": 3e-4,
        "schedule": "cosine",
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
    },
    # the most accurate model on the thesis's photos: nothing of the backbones is trained
    "covariance": {
        "image_size_px": 448,
        "strategy": "finetune",
        "backbones": ("DenseNet121",),
        "optimizers": ("Adam",),  # of fine-tuned models, of which there are none
        "dropouts": (0.0,),
        "unfreeze": "top",
        "ensemble": 0,
        "covariance_top": ("DenseNet121",),
        "covariance_top2": ("DenseNet121",),
    },
    # the whole study in minutes: a few small synthetic photos, and a learning rate high enough for so few
    "demo": {
        "image_size_px": 96,
        "photos_per_class": 40,
        "views": 2,
        "learning_rate": 1e-3,
        "coverage": 0.9,  # sets of 0.95 would hold half of the classes, for lack of photos
        "min_f1": 0.15,  # about chance for six classes, for --random-weights
    },
}

PHOTO_SETTINGS = ("images", "labels", "merge_classes", "zip_encoding")  # where photos and their classes come from


@dataclasses.dataclass(frozen=True)
class Config(settings.Finetuning):
    """All settings of a run; the defaults are the thesis's study.

    Attributes:
        profile: one of PROFILES, which the settings started from.
        images: folders or zips whose photos are combined; empty for synthetic photos.
        photos_per_class: number of synthetic photos of each class.
        beam_args: Beam pipeline options, passed through.
        flips: "both" turns half of the views upside down.
        test_views: see tta.transform.
    """

    run_dir: pathlib.Path
    profile: Profile = "thesis"
    images: tuple[pathlib.Path, ...] = ()
    labels: pathlib.Path | None = option(
        None, "CSV file with the class of each photo, for photos that are not in class folders."
    )
    merge_classes: bool = option(False, "Merge classes whose names differ only in case or blanks.")
    zip_encoding: str | None = option(None, "Encoding of the names in a zip that does not state it, such as gbk.")
    weights_dir: pathlib.Path | None = option(None, "Folder of the backbones' ImageNet weights.")
    random_weights: bool = option(False, "Random weights in place of ImageNet's, to try things out.")
    strategy: settings.Strategy = option(
        "features", "Training strategy: frozen backbones (features) or fine-tuned ones (finetune), slow without a GPU."
    )
    refine: int = option(0, "Number of the best scenarios to fine-tune after the search.", min=0, max=1_000)
    backbones: tuple[settings.Backbone, ...] = option(
        settings.THESIS_BACKBONES, "Backbones to compare; docs/backbones.md lists all 40."
    )
    optimizers: tuple[settings.Optimizer, ...] = option(get_args(settings.Optimizer), "Optimizers to compare.")
    dropouts: tuple[float, ...] | settings.Range = option(
        settings.DROPOUTS, "Dropout rates to compare, or a range of them.", min=0, max=0.99
    )
    hidden_units: tuple[int, ...] = option(
        (settings.HIDDEN_UNITS,), "Numbers of units in the head's hidden layer to compare.", min=1, max=65_536
    )
    oracle: settings.Oracle = option(
        "grid", "Choice of the scenarios to train: all combinations (grid), or trials that a KerasTuner oracle chooses."
    )
    trials: int = option(100, "Number of trials, with an oracle other than grid.", min=1, max=1_000)
    folds: int = option(5, "Number of cross-validation folds.", min=2, max=1_000)
    epochs: int = option(10, "Number of epochs in each fold.", min=1, max=10_000)
    batch_size: int = option(32, "Number of photos in a training step.", min=1, max=65_536)
    learning_rate: float | settings.Range = option(
        1e-4, "Learning rate of the classifier head, or a range of it.", min=1e-9, max=1_000
    )
    finetuning_rate: float | None = option(
        None, "Learning rate of fine-tuning, if it differs from --learning-rate.", min=1e-9, max=1_000
    )
    weight_decay: float = option(0.004, "Weight decay of AdamW.", min=0, max=1_000)  # Keras's default
    views: int = option(
        10,
        "Number of augmented views of each photo for training; fine-tuning has a new one each epoch.",
        min=1,
        max=1_000,
    )
    flips: settings.Flips = option("horizontal", "Random flips of augmented views.")
    augmentation: settings.AugmentationKind = option(
        "affine", "Augmented views: moved and turned (affine), or also with other colours and backgrounds (strong)."
    )
    test_views: int = option(
        1, "Number of views over which scores are averaged, in the study and when served.", min=1, max=4
    )
    seed: int = option(42, "Seed of folds, augmented views, first weights and order of photos.", min=1, max=MAX_SEED)
    image_size_px: int = option(224, "Image size in pixels.", min=32, max=1024, flag="image-size")
    engine: settings.Engine = option("auto", "Inference engine of the frozen backbones.")
    precision: settings.Precision = option("auto", "Data type in which the backbones compute.")
    max_pixels: int = option(
        settings.MAX_PIXELS, "Largest number of pixels of a photo; larger ones are rejected.", min=1, max=500_000_000
    )
    max_rejects: float = option(0.05, "Largest share of unusable photos.", min=0, max=1)
    coverage: float = option(
        0.95, "Share of photos of each class whose prediction set holds the class.", min=0.5, max=0.999
    )
    min_f1: float = option(0.7, "Lowest macro F1 at which a model is pushed.", min=0, max=1)
    keep_versions: int = option(3, "Number of served versions to keep.", min=1, max=10_000)
    photos_per_class: int = 0
    group_folds: bool = option(False, "Keep photos of almost the same perceptual hash in one fold.")
    beam_args: tuple[str, ...] = ()
    cluster: str | None = option(
        None,
        "Address of a Dask scheduler whose workers compute features and folds, such as tcp://10.0.0.5:8786.",
        resumed=False,
    )
    force: bool = option(False, "Push a model even if the served version is better.", resumed=False)
    accept_missing: bool = option(
        False, "Accept that a folder has lost all of its photos since the last run.", resumed=False
    )

    @property
    def scenario_count(self) -> int:
        """The number of scenarios in the search, without the refined ones."""
        return self.combinations if self.oracle == "grid" else self.trials

    @property
    def combinations(self) -> int:
        """The number of combinations of values, where a range counts as one value."""
        dropouts = len(self.dropouts) if isinstance(self.dropouts, tuple) else 1
        return len(self.backbones) * len(self.optimizers) * dropouts * len(self.hidden_units)

    @property
    def search_space(self) -> SearchSpace | None:
        """The space that KerasTuner searches; None for a grid, whose scenarios are all combinations."""
        if self.oracle == "grid":
            return None
        names = ("backbones", "optimizers", "dropouts", "learning_rate", "hidden_units", "epochs", "seed", "trials")
        return SearchSpace(self.oracle, **{name: getattr(self, name) for name in names})

    @property
    def searched_numbers(self) -> range:
        """The numbers of the scenarios in the search; an oracle may leave out some of the last ones."""
        return range(1, self.scenario_count + 1)

    @property
    def refined_numbers(self) -> range:
        """The numbers of the refined scenarios, which follow those of the search."""
        return range(self.scenario_count + 1, self.scenario_count + self.refine + 1)

    @property
    def finetunes(self) -> bool:
        return self.strategy == "finetune" or self.refine > 0

    @property
    def networks(self) -> tuple[settings.Backbone, ...]:
        """All backbones that the run computes with: those that it compares, and those of covariance heads."""
        heads = self.finetuning.covariance_heads if self.finetunes else ()
        return tuple(dict.fromkeys((*self.backbones, *(head.backbone for head in heads))))

    @property
    def rate_of_finetuning(self) -> float:
        assert self.finetuning_rate or isinstance(self.learning_rate, float)
        return self.finetuning_rate or self.learning_rate  # type: ignore[return-value]

    @property
    def finetuning(self) -> settings.Finetuning:
        return settings.Finetuning(**{name: getattr(self, name) for name in settings.options(settings.Finetuning)})

    def needs(self, stage: str) -> bool:
        """Return whether the run has work for `stage`, one of STAGES."""
        return {"features": self.strategy == "features", "refine": self.refine > 0}.get(stage, True)


def of_profile(profile: Profile, run_dir: pathlib.Path) -> Config:
    """Return the configuration that `profile` starts with."""
    return Config(run_dir=run_dir, profile=profile, **PROFILES[profile])


def flag(name: str) -> str:
    """Return the command-line option of the field `name`."""
    declared = settings.options(Config).get(name)
    return f"--{declared.flag if declared and declared.flag else name.replace('_', '-')}"


def help_of(name: str) -> str:
    """Return the help of the option of the field `name`, for commands that have the same option."""
    return settings.options(Config)[name].help


def to_json(config: Config) -> dict[str, Any]:
    """Return the configuration as a JSON object, with paths and ranges as text."""
    return json.loads(json.dumps(vars(config), default=str))


def read(run_dir: pathlib.Path) -> Config:
    """Return the configuration of the run in `run_dir`, from its run.json; a moved run has its current path.

    Raises:
        PilahError: there is no run, its run.json is damaged or of a later version, or it holds a pipe or a device.
    """
    path = run_dir / run_folder.CONFIG
    run_folder.check_kinds(run_dir)
    if not path.exists():
        raise PilahError(f"--run-dir must hold a run, and {run_dir} has no {path.name}. Start one with 'run'.")
    try:
        values = artifacts.parse_json(path.read_text("utf-8"))
        setting_types.check(values, Config)
        return dataclasses.replace(from_json(values), run_dir=run_dir.resolve())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PilahError(
            f"{path} is damaged or of a later version of Pilah ({error}). Restore it, or choose another --run-dir."
        ) from error


def from_json(values: dict[str, Any]) -> Config:
    """Return the configuration that `to_json` returned; settings that it lacks have their defaults."""
    paths = {
        "run_dir": pathlib.Path(values["run_dir"]),
        "images": tuple(map(pathlib.Path, values["images"])),
        "weights_dir": values["weights_dir"] and pathlib.Path(values["weights_dir"]),
        "labels": pathlib.Path(values["labels"]) if values.get("labels") else None,
    }
    lists: dict[str, Any] = {name: tuple(values[name]) for name in ("backbones", "optimizers", "beam_args")}
    lists |= {name: tuple(values.get(name, [])) for name in ("covariance_top", "covariance_top2")}
    lists["hidden_units"] = tuple(values.get("hidden_units", [settings.HIDDEN_UNITS]))
    lists |= {name: _searched(values[name]) for name in ("dropouts", "learning_rate") if name in values}
    return Config(**{**values, **paths, **lists})


def _searched(value: Any) -> Any:
    """Return a setting of run.json that may be a number, a list of numbers or the text of a range."""
    if isinstance(value, list):
        return tuple(map(float, value))
    return settings.parse_range(value) if isinstance(value, str) else float(value)
