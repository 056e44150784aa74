"""One flat configuration of a run: every option with its default, and what each profile changes."""

import dataclasses
import json
import math
import pathlib
from typing import Any, Literal, get_args

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.base.settings import option
from components.data import images
from pipeline import run_folder

StageName = Literal[
    "photos", "dataset", "features", "search", "refine", "choice", "model", "export", "validate", "push", "report"
]
STAGES: tuple[StageName, ...] = get_args(StageName)
Profile = Literal["thesis", "finetuned", "demo"]
MAX_PIXELS = images.MAX_PIXELS  # in the class below, images is a setting
PROFILES: dict[Profile, dict[str, Any]] = {
    "thesis": {},
    # the recipe of the best single model of the thesis's photos (docs/RESULTS.md): one scenario, then fine-tuned
    "finetuned": {
        "image_size_px": 320,
        "views": 1,  # of the frozen scenario, which is there to be compared with
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
    # the whole study in minutes: few small drawn photos, and steps large enough to learn from so few
    "demo": {
        "image_size_px": 96,
        "photos_per_class": 40,
        "views": 2,
        "learning_rate": 1e-3,
        "min_f1": 0.15,  # about chance for six classes: where there are no ImageNet weights, no more can be asked
    },
}


@dataclasses.dataclass(frozen=True)
class Config(settings.Finetuning):
    """Everything that a run depends on; the defaults are the thesis's study.

    Attributes:
        profile: one of PROFILES, which the settings began as.
        images: folders or zips of the photos, taken together; none draws the demo's own.
        photos_per_class: number of photos of each class to draw, where they are drawn.
        beam_args: Beam pipeline options, passed through.
        flips: "both" has half of the views upside down.
        test_views: see tta.look.
    """

    run_dir: pathlib.Path
    profile: Profile = "thesis"
    images: tuple[pathlib.Path, ...] = ()
    weights_dir: pathlib.Path | None = option(None, "Folder of the backbones' ImageNet weights.")
    strategy: settings.Strategy = option(
        "features", "Training of the backbones: frozen (features), or trained too (finetune), on a GPU or slowly."
    )
    refine: int = option(0, "Number of the best scenarios to fine-tune after the search.", min=0)
    backbones: tuple[settings.Backbone, ...] = option(get_args(settings.Backbone), "Backbones to compare.")
    optimizers: tuple[settings.Optimizer, ...] = option(get_args(settings.Optimizer), "Optimizers to compare.")
    dropouts: tuple[float, ...] = option(settings.DROPOUTS, "Dropout rates to compare.", min=0, max=0.99)
    folds: int = option(5, "Number of cross-validation folds.", min=2)
    epochs: int = option(10, "Number of epochs in each fold.", min=1)
    batch_size: int = option(32, "Number of photos in a training step.", min=1)
    learning_rate: float = option(1e-4, "Learning rate of the classifier head.", min=1e-9)
    finetuning_rate: float | None = option(
        None, "Learning rate of fine-tuning, where it differs from --learning-rate.", min=1e-9
    )
    weight_decay: float = option(0.004, "Weight decay of AdamW.", min=0)  # Keras's default
    views: int = option(
        10, "Number of augmented views of each photo for training; fine-tuning has a new one each epoch.", min=1
    )
    flips: settings.Flips = option("horizontal", "Random flips of augmented views.")
    test_views: int = option(
        1, "Number of views over which scores are averaged, in the study and when served.", min=1, max=4
    )
    seed: int = option(42, "Seed of folds, augmented views, first weights and order of photos.", min=1)
    image_size_px: int = option(224, "Image size in pixels.", min=32, max=1024, flag="image-size")
    engine: settings.Engine = option("auto", "Inference engine of the frozen backbones.")
    precision: settings.Precision = option("auto", "Data type in which the backbones compute.")
    max_pixels: int = option(MAX_PIXELS, "Largest number of pixels of a photo; larger ones are rejected.", min=1)
    max_rejects: float = option(0.05, "Largest share of unusable photos.", min=0, max=1)
    min_f1: float = option(0.7, "Lowest macro F1 at which a model is pushed.", min=0, max=1)
    keep_versions: int = option(3, "Number of served versions to keep.", min=1)
    photos_per_class: int = 0
    group_folds: bool = option(False, "Keep photos of almost the same perceptual hash in one fold.")
    beam_args: tuple[str, ...] = ()
    force: bool = option(False, "Push even a model that is worse than the one served.", resumed=False)
    accept_missing: bool = option(
        False, "Confirm that photos of the last run were removed where a whole folder lacks them.", resumed=False
    )

    @property
    def scenario_count(self) -> int:
        """How many scenarios are searched, those refined afterwards not counted."""
        return len(self.backbones) * len(self.optimizers) * len(self.dropouts)

    @property
    def searched_numbers(self) -> range:
        """Of the scenarios of the search."""
        return range(1, self.scenario_count + 1)

    @property
    def refined_numbers(self) -> range:
        """Of the scenarios that are refined, numbered on from those searched."""
        return range(self.scenario_count + 1, self.scenario_count + self.refine + 1)

    @property
    def finetunes(self) -> bool:
        return self.strategy == "finetune" or self.refine > 0

    @property
    def rate_of_finetuning(self) -> float:
        return self.finetuning_rate or self.learning_rate

    @property
    def finetuning(self) -> settings.Finetuning:
        return settings.Finetuning(**{name: getattr(self, name) for name in settings.options(settings.Finetuning)})

    def needs(self, stage: str) -> bool:
        """Return whether there is anything for `stage`, one of STAGES, to do."""
        return {"features": self.strategy == "features", "refine": self.refine > 0}.get(stage, True)

    @property
    def allow_random_weights(self) -> bool:
        return self.profile == "demo"


def of_profile(profile: Profile, run_dir: pathlib.Path) -> Config:
    """Return the configuration that `profile`, one of PROFILES, begins with."""
    return Config(run_dir=run_dir, profile=profile, **PROFILES[profile])


def flag(name: str) -> str:
    """Return the command-line option of the field `name`."""
    return f"--{settings.options(Config)[name].flag or name.replace('_', '-')}"


def check(config: Config) -> None:
    """Raise PilahError where settings are not finite, or do not go together."""
    for name, value in vars(config).items():
        values = value if isinstance(value, tuple) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in values):
            raise PilahError(f"{flag(name)} must be a finite number (got {value}).")
    if config.refine and config.strategy == "finetune":
        raise PilahError(
            f"--refine {config.refine} and --strategy finetune exclude each other: --refine trains backbones that the "
            "search left frozen. Choose one of them."
        )
    if config.refine > config.scenario_count:
        raise PilahError(
            f"--refine must be at most {config.scenario_count}, the number of scenarios (got {config.refine})."
        )
    changed = [name for name in ("finetuning_rate", *settings.options(settings.Finetuning)) if _changed(config, name)]
    if changed and not config.finetunes:
        given = ", ".join(f"{flag(name)} {getattr(config, name)}" for name in changed)
        raise PilahError(
            f"{given}: options of fine-tuning have no effect while all backbones stay frozen. Add --refine 1 or "
            "--strategy finetune, or leave them out."
        )
    if config.finetunes and config.warmup_epochs >= config.epochs:
        raise PilahError(
            f"--warmup-epochs must be lower than --epochs, which is {config.epochs} (got {config.warmup_epochs})."
        )


def _changed(config: Config, name: str) -> bool:
    return getattr(config, name) != getattr(Config(config.run_dir), name)


def to_json(config: Config) -> dict[str, Any]:
    """Return the configuration as JSON can hold it, paths as text."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def read(run_dir: pathlib.Path) -> Config:
    """Return the configuration of the run in `run_dir`, from its run.json; its run_dir is where it is now.

    Raises:
        PilahError: there is no run.
    """
    path = run_dir / run_folder.CONFIG
    if not path.exists():
        raise PilahError(f"--run-dir must hold a run, and {run_dir} has no {path.name}. Start one with 'run'.")
    return dataclasses.replace(from_json(artifacts.read_json(path)), run_dir=run_dir.resolve())


def from_json(values: dict[str, Any]) -> Config:
    """Return the configuration that `to_json` wrote; settings that are newer than it have their defaults."""
    paths = {
        "run_dir": pathlib.Path(values["run_dir"]),
        "images": tuple(map(pathlib.Path, values["images"])),
        "weights_dir": values["weights_dir"] and pathlib.Path(values["weights_dir"]),
    }
    lists = {name: tuple(values[name]) for name in ("backbones", "optimizers", "dropouts", "beam_args")}
    return Config(**{**values, **paths, **lists})
