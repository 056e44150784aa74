"""Every setting of the web tier: its name in the environment, its default, and what makes it wrong."""

import contextlib
import dataclasses
import math
import os
import pathlib
import secrets
import tempfile
from collections.abc import Mapping
from typing import Any

import limits

from components.data import images

LANGUAGES = {"en": "English", "id": "Bahasa Indonesia"}
DEVELOPMENT = "development"
MAKE_ONE = "$(python -c 'import secrets; print(secrets.token_hex())')"
MIB = 1024 * 1024
LEAST = {  # setting -> its smallest value
    "serving_timeout_seconds": 0.1,
    "retry_seconds": 0.1,  # less would ask without a pause
    "max_upload_bytes": MIB,  # pages say it in whole MB
    "max_pixels": 1_000_000,  # and this in whole millions
    "trusted_proxies": 0,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the web tier runs with, under the environment's names in small letters.

    Attributes:
        pilah_env: "development" makes its own secret key and sends cookies over plain http; anything else is public.
        pilah_data: folder of the database and the uploads.
        secret_key: signs cookies; at least 32 characters.
        admin_token: lets an operator see every row; at least 16 characters, or empty: nobody does.
        database_url: SQLAlchemy's; "" is SQLite in pilah_data.
        serving_target: HOST:PORT of the model server's gRPC.
        model_folder: folder of the numbered versions that it serves, for the newest one's card and classes; "" is none.
        serving_timeout_seconds: that an upload waits for its answer before it is kept as waiting.
        retry_seconds: between looks for waiting rows.
        upload_rate: uploads of one address (of IPv6, of its /64), in Flask-Limiter's words.
        trusted_proxies: how many proxies in front set X-Forwarded-For.
    """

    pilah_env: str = "production"
    pilah_data: str = "instance"
    secret_key: str = ""
    admin_token: str = ""
    database_url: str = ""
    serving_target: str = "localhost:8500"
    model_folder: str = ""
    serving_timeout_seconds: float = 10.0
    retry_seconds: float = 2.0
    max_upload_bytes: int = 15 * MIB
    max_pixels: int = images.MAX_PIXELS
    upload_rate: str = "30 per minute"
    trusted_proxies: int = 0

    @property
    def is_development(self) -> bool:
        return self.pilah_env == DEVELOPMENT


class SettingsError(Exception):
    """A setting is missing or wrong: the message names it and the next step, on one line."""


def read(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the environment, with `overrides` by field name on top.

    Raises:
        SettingsError: a number that is none or too small, a short token or key, or no key outside development.
    """
    given: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        text = environment.get(field.name.upper())
        if text:
            given[field.name] = _convert(field.name, text, type(field.default))
    settings = dataclasses.replace(Settings(), **{**given, **(overrides or {})})
    try:
        limits.parse_many(settings.upload_rate)
    except ValueError as error:
        raise SettingsError(f"UPLOAD_RATE must be a rate like '30 per minute' (got {settings.upload_rate}).") from error
    if 0 < len(settings.admin_token) < 16:
        raise SettingsError(
            f"ADMIN_TOKEN must be empty or have at least 16 characters (it has {len(settings.admin_token)}). "
            f"Make one: export ADMIN_TOKEN={MAKE_ONE}"
        )
    if settings.secret_key:
        if len(settings.secret_key) < 32:
            raise SettingsError(f"SECRET_KEY must have at least 32 characters (it has {len(settings.secret_key)}).")
        return settings
    if not settings.is_development:
        raise SettingsError(f"SECRET_KEY must be set outside development. Make one: export SECRET_KEY={MAKE_ONE}")
    return dataclasses.replace(settings, secret_key=_kept_key(pathlib.Path(settings.pilah_data) / "secret_key"))


def _convert(name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    kind_name = "whole number" if kind is int else "number"
    try:
        value = kind(text)
        if LEAST[name] <= value < math.inf:  # which NaN is not, either
            return value
    except ValueError:
        pass
    raise SettingsError(
        f"{name.upper()} must be a {kind_name} of at least {LEAST[name]} (got {text}). Unset it for the default."
    )


def _kept_key(path: pathlib.Path) -> str:
    """A key of this machine's own, made once, so that a restart forgets nobody."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as whole:  # only its owner may read it
            whole.write(secrets.token_hex())
            whole.flush()
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(whole.name, path)
    return path.read_text(encoding="ascii")
