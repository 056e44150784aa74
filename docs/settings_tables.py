"""Write the tables of settings and backbones into the pages PAGES, from the code and the table that declare them.

    python -m docs.settings_tables

Each table stands between the comments <!-- table: NAME --> and <!-- end of table -->.
"""

import dataclasses
import inspect
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from components.base import settings
from components.models import backbone_table
from pipeline import cli, options
from pipeline import config as config_module
from pipeline.config import PROFILES, Config, of_profile
from web import settings as web_settings

DOCS = pathlib.Path(__file__).parent
PAGES = ("settings.md", "deployment.md", "backbones.md")
DIGESTS = {32: "MD5", 64: "SHA-256", 0: "none"}  # number of digits -> name
CONFIG_TYPES = get_type_hints(Config)


def main() -> None:
    for name in PAGES:
        path = DOCS / name
        path.write_text(updated(path.read_text("utf-8")), "utf-8")


def updated(page: str) -> str:
    """Return the text of a page with its tables as the code says them now."""
    makers = {
        "run": run_options,
        "finetuning": finetuning_options,
        "starts": start_options,
        "web": web_variables,
        "backbones": backbones,
    }
    return re.sub(
        r"(?s)(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)",
        lambda match: f"{match[1]}\n{makers[match[2]]()}\n{match[3]}",
        page,
    )


def start_options() -> str:
    """Return the table of the options of `run` that count for one start and are not in run.json."""
    kept = {name for name, option in settings.options(Config).items() if option.resumed} | {"run_dir", "values"}
    rows = []
    for name, parameter in inspect.signature(cli.run).parameters.items():
        if name in kept:
            continue
        annotation, declared = get_args(parameter.annotation)
        if declared.hidden:
            continue
        names = [text for text in (declared.default, *(declared.param_decls or ())) if str(text).startswith("--")]
        flag = "-- OPTIONS" if name == "beam_args" else names[0] if names else config_module.flag(name)
        values = _values(annotation)
        rows.append((f"`{flag}`", declared.metavar or values if values == "text" else values, declared.help))
    return _table(("option", "values", "effect"), rows)


def run_options() -> str:
    finetuning = settings.options(settings.Finetuning)
    general = {name: option for name, option in settings.options(Config).items() if option.resumed}
    return _settings_table(name for name in general if name not in finetuning)


def finetuning_options() -> str:
    return _settings_table(settings.options(settings.Finetuning))


def web_variables() -> str:
    """Return the table of the variables that web/settings.py reads."""
    described = inspect.getdoc(web_settings.Settings) or ""
    texts = dict(re.findall(r"(?m)^ +(\w+): (.*(?:\n {8,}.*)*)", described))
    rows = []
    for field in dataclasses.fields(web_settings.Settings):
        limits = web_settings.LIMITS.get(field.name)
        values = f"{_number(limits[0])} to {_number(limits[1])}" if limits else ""
        default = f"`{field.default}`" if field.default != "" else ""
        rows.append((f"`{field.name.upper()}`", default, values, " ".join(texts[field.name].split())))
    return _table(("variable", "default", "bounds", "meaning"), rows)


def backbones() -> str:
    """Return the table of backbones."""
    rows = [
        (
            f"`{name}`",
            f"{row.parameters / 1e6:.1f}",
            str(row.channels),
            str(row.size_px),
            str(row.min_size_px),
            f"`{row.weights_file}`",
            DIGESTS[len(row.weights_digest)],
        )
        for name, row in backbone_table.ROWS.items()
    ]
    columns = "backbone", "million parameters", "activations", "default size", "smallest", "weights file", "digest"
    return _table(columns, rows)


def _settings_table(names: Iterable[str]) -> str:
    """Return a table of fields of Config, with the values that profiles set."""
    rows = []
    for name in names:
        option = settings.options(Config)[name]
        values = {profile: _text(getattr(of_profile(profile, pathlib.Path()), name)) for profile in PROFILES}
        others = [f"{profile}: {value}" for profile, value in values.items() if value != values["thesis"]]
        bounds = _values(CONFIG_TYPES[name], option)
        default = "; ".join([values["thesis"] or "none", *others])
        rows.append((f"`{config_module.flag(name)}`", bounds, default, option.help))
    return _table(("option", "values", "default", "meaning"), rows)


def _values(annotation: Any, option: settings.Option | None = None) -> str:
    """Return which values a field of this type takes: choices, bounds, or the kind of value."""
    arguments = [argument for argument in get_args(annotation) if argument not in (type(None), ...)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if option and option.min is not None:
        return f"{'several, ' if get_origin(annotation) is tuple else ''}{_number(option.min)} to {_number(option.max)}"
    if get_origin(annotation) in (tuple, list):
        if len(get_args(arguments[0])) > options.SHOWN_CHOICES:
            return "several names"
        return f"several of {_values(arguments[0])}" if get_origin(arguments[0]) is Literal else _values(arguments[0])
    if arguments:
        return _values(arguments[0])
    return {bool: "", pathlib.Path: "path", str: "text"}[annotation]


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(item if isinstance(item, str) else _number(item) for item in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else _number(value) if isinstance(value, int | float) else f"`{value}`"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else f"{value:g}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
