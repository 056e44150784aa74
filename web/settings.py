"""Settings of the web tier: names in the environment, defaults and valid values."""

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
MINIMUM = {  # setting -> smallest value
    "serving_timeout_seconds": 0.1,
    "retry_seconds": 0.1,  # less would retry without a pause
    "max_upload_bytes": MIB,  # pages show whole MB
    "max_pixels": 1_000_000,  # pages show whole millions
    "trusted_proxies": 0,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the web tier; their names in the environment are in capitals.

    Attributes:
        pilah_env: "development" generates a secret key and sends cookies over plain HTTP; anything else is public.
        pilah_data: folder of the database and the uploads.
        secret_key: signs cookies; at least 32 characters.
        admin_token: token with which an operator sees every row; at least 16 characters, or "" for no operator.
        database_url: URL for SQLAlchemy; "" is SQLite in pilah_data.
        serving_target: HOST:PORT of the model server, for gRPC.
        model_folder: folder of the served versions, for the card and classes of the newest; "" is none.
        serving_timeout_seconds: time after which an unanswered upload is stored as waiting.
        retry_seconds: pause between retries of waiting rows.
        upload_rate: limit of uploads from one address (IPv6: from its /64), in Flask-Limiter's notation.
        trusted_proxies: number of proxies in front that set X-Forwarded-For.
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
    """Return the settings in the environment, replaced by `overrides` (field name -> value).

    Raises:
        SettingsError: a number is invalid or too small, a token or key too short, or no key set outside development.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        text = environment.get(field.name.upper())
        if text:
            values[field.name] = _convert(field.name, text, type(field.default))
    settings = dataclasses.replace(Settings(), **{**values, **(overrides or {})})
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
    return dataclasses.replace(settings, secret_key=_stored_key(pathlib.Path(settings.pilah_data) / "secret_key"))


def _convert(name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    kind_name = "whole number" if kind is int else "number"
    try:
        value = kind(text)
        if MINIMUM[name] <= value < math.inf:  # false for NaN
            return value
    except ValueError:
        pass
    raise SettingsError(
        f"{name.upper()} must be a {kind_name} of at least {MINIMUM[name]} (got {text}). Unset it for the default."
    )


def _stored_key(path: pathlib.Path) -> str:
    """Return the key in `path`, generated at the first start, so that sessions survive a restart."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as file:  # only its owner may read it
            file.write(secrets.token_hex())
            file.flush()
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(file.name, path)
    return path.read_text(encoding="ascii")
