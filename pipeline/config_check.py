"""The check that the settings of a run fit together, before any work."""

import math
from collections.abc import Collection

from components.base import settings
from components.base.errors import PilahError
from components.models import backbone_table
from pipeline import config as config_module
from pipeline.config import Config

# settings of training, and of fine-tuning alone, that covariance heads do not read
TRAINING = "epochs", "batch_size", "learning_rate", "weight_decay", "views", "flips", "augmentation"
TRIED = "optimizers", "dropouts", "hidden_units"  # profiles set one value of each
FINETUNING = "finetuning_rate", "batchnorm", "warmup_epochs", "schedule", "label_smoothing", "clip_norm", "xla"
HYPERBAND_FACTOR = 3  # KerasTuner's: the best trials are trained again with this many times the epochs


def check(config: Config, fields: Collection[str] | None = None) -> None:
    """Raise PilahError if settings are not finite or contradict each other.

    Args:
        fields: names of the fields that this start sets; None means all fields.
    """
    for name, value in vars(config).items():
        values = value if isinstance(value, tuple) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in values):
            raise PilahError(f"{config_module.flag(name)} must be a finite number (got {value}).")
    backbone_table.check_image_size(config.networks, config.image_size_px)
    if config.random_weights and config.weights_dir and (fields is None or "weights_dir" in fields):
        raise PilahError(
            f"--random-weights and --weights-dir {config.weights_dir} exclude each other. Leave one of them out, or "
            "add --no-random-weights to a run that has random weights."
        )
    if config.refine and config.strategy == "finetune":
        raise PilahError(
            f"--refine {config.refine} and --strategy finetune exclude each other: --refine fine-tunes backbones that "
            "were frozen in the search. Choose one of them."
        )
    _check_search(config, fields)
    if config.refine > config.scenario_count:
        raise PilahError(
            f"--refine must be at most {config.scenario_count}, the number of scenarios (got {config.refine})."
        )
    default, names = Config(config.run_dir), ("finetuning_rate", *settings.options(settings.Finetuning))
    changed = [name for name in names if getattr(config, name) != getattr(default, name)]
    changed = [name for name in changed if fields is None or name in fields]
    if changed and not config.finetunes:
        options = ", ".join(f"{config_module.flag(name)} {getattr(config, name)}" for name in changed)
        raise PilahError(
            f"{options}: options of fine-tuning have no effect while all backbones stay frozen. Add --refine 1 or "
            "--strategy finetune, or leave them out."
        )
    if config.finetunes:
        _check_members(config, fields)
    if config.finetunes and config.warmup_epochs >= config.epochs:
        raise PilahError(
            f"--warmup-epochs must be lower than --epochs, which is {config.epochs} (got {config.warmup_epochs})."
        )


def _check_members(config: Config, fields: Collection[str] | None) -> None:
    """Raise PilahError if the members of the model do not fit the other settings. `fields` is as in `check`."""
    default = Config(config.run_dir)
    heads = config.finetuning.covariance_heads
    lacking = [name for name in config.backbones if name not in {head.backbone for head in heads}]
    if not config.ensemble and lacking:
        raise PilahError(
            f"--ensemble 0 fine-tunes no model of {lacking[0]}. Add {lacking[0]} to --covariance-top, or choose "
            "--ensemble 1 or more."
        )
    if not config.ensemble and (config.refine > 1 or (config.strategy == "finetune" and config.combinations > 1)):
        raise PilahError(
            "--ensemble 0 makes all scenarios the same model. Choose one of --backbones, --optimizers, --dropouts and "
            "--hidden-units, and --refine 1 at most."
        )
    only_finetunes = config.strategy == "finetune"
    unread = [
        name
        for name in (*(TRAINING if only_finetunes else ()), *FINETUNING)
        if getattr(config, name) != getattr(default, name) and (fields is None or name in fields)
    ]
    unread += [name for name in TRIED if only_finetunes and name in (fields or ())]
    if not config.ensemble and unread:
        options = ", ".join(map(config_module.flag, unread))
        raise PilahError(
            f"{options}: covariance heads have no epochs, and --ensemble 0 fine-tunes no model. Leave these options "
            "out, or choose --ensemble 1 or more."
        )
    if heads and config.unfreeze == "all":
        raise PilahError(
            "--covariance-top and --covariance-top2 need frozen layers, but --unfreeze all leaves none. Choose "
            "--unfreeze top or top2."
        )


def _check_search(config: Config, fields: Collection[str] | None) -> None:
    """Raise PilahError if the oracle does not fit the other settings. `fields` is as in `check`."""
    ranges = [name for name in ("dropouts", "learning_rate") if isinstance(getattr(config, name), settings.Range)]
    if config.oracle == "grid":
        if ranges:
            raise PilahError(
                f"{config_module.flag(ranges[0])} must not be a range with --oracle grid, which tries all combinations "
                f"(got {getattr(config, ranges[0])}). Give values, or choose --oracle random, bayesian or hyperband."
            )
        if config.trials != Config(config.run_dir).trials and (fields is None or "trials" in fields):
            raise PilahError(
                f"--trials {config.trials} has no effect with --oracle grid, which tries all combinations. Leave it "
                "out, or choose --oracle random, bayesian or hyperband."
            )
        return
    if config.strategy == "finetune":
        raise PilahError(
            f"--oracle {config.oracle} needs --strategy features, because each of its trials trains only a head. "
            "Fine-tune the best trials with --refine."
        )
    if config.oracle == "hyperband" and config.epochs < HYPERBAND_FACTOR:
        raise PilahError(
            f"--oracle hyperband needs --epochs of at least {HYPERBAND_FACTOR}, because its first trials have a third "
            f"of them or less (got {config.epochs}). Add epochs, or choose --oracle random."
        )
    if not ranges and config.combinations == 1:
        raise PilahError(
            f"--oracle {config.oracle} needs something to search. Give a range, such as --learning-rate 1e-5:1e-2:log, "
            "or several values of --backbones, --optimizers, --dropouts or --hidden-units."
        )
    if config.refine and "learning_rate" in ranges and not config.finetuning_rate:
        raise PilahError(
            f"--refine {config.refine} needs --finetuning-rate, because --learning-rate is a range. Add it."
        )
