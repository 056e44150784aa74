"""Settings of the web tier: names in the environment, defaults and valid values."""

import dataclasses
import ipaddress
import urllib.parse
from collections.abc import Mapping
from typing import Any

import limits
import sqlalchemy as sa

from components.data import images
from serving import channel
from web import data_folder

LANGUAGES = {"en": "English", "id": "Bahasa Indonesia"}
DEVELOPMENT = "development"
NEW_SECRET = "$(python -c 'import secrets; print(secrets.token_hex())')"  # nosec B105 # a command, not a secret
DATABASE_URLS = "postgresql://USER:PASSWORD@HOST/NAME or sqlite:////FOLDER/FILE"
MIB = 1024 * 1024
LIMITS: dict[str, tuple[float, float]] = {  # setting -> smallest and largest value
    "serving_timeout_seconds": (0.1, 3600),
    "retry_seconds": (0.1, 3600),  # the minimum ensures a pause between retries
    "max_upload_bytes": (MIB, 1024 * MIB),  # pages show whole MB
    "max_pixels": (1_000_000, 1_000_000_000),  # pages show whole millions
    "trusted_proxies": (0, 100),
    "hsts_seconds": (0, 10**9),
    "keep_days": (1, 10**6),
    "max_stored_bytes": (100 * MIB, 10**18),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the web tier; their names in the environment are in capitals.

    Attributes:
        pilah_env: "development" generates a secret key and sends cookies over plain HTTP; others are for public use.
        pilah_data: folder of the database and the uploads.
        secret_key: signs cookies; at least 32 characters.
        admin_token: token with which an operator signs in; at least 16 characters, or "" for no operator.
        database_url: postgresql://USER:PASSWORD@HOST/NAME or sqlite:////FILE; "" is SQLite in pilah_data.
        serving_target: HOST:PORT of the model server, for gRPC.
        model_folder: folder of the served versions, for the model card and classes of the newest; "" is none.
        disposal_advice: TOML file with what to do with an item of each class; "" is web/disposal_advice.toml.
        serving_timeout_seconds: time after which an unanswered upload is stored as waiting.
        retry_seconds: pause between retries of waiting rows.
        max_upload_bytes: size of the largest photo.
        max_pixels: largest number of pixels of a photo.
        upload_rate: limit of uploads from one address (IPv6: from its /64), in Flask-Limiter's notation.
        visitor_rate: limit of accepted photos from one browser.
        total_rate: limit of accepted photos from all clients together.
        metrics_from: networks that may read /metrics and /readyz, separated by commas.
        keep_days: age in days from which the page deletes uploads that are neither confirmed nor corrected.
        max_stored_bytes: size of all stored pictures above which the page deletes the oldest ones.
        contact: e-mail address, URL or name for questions about photos, shown on the privacy page.
        report_url: URL of the published report, to which the page about the model links; "" is no link.
        script_name: path under which the page is published, such as /pilah; "" is the whole host.
        trusted_proxies: number of proxies in front that set X-Forwarded-For.
        hsts_seconds: time for which browsers use only https on all ports of the host; 0 ends that.
    """

    pilah_env: str = "production"
    pilah_data: str = "instance"
    secret_key: str = ""
    admin_token: str = ""
    database_url: str = ""
    serving_target: str = "localhost:8500"
    model_folder: str = ""
    disposal_advice: str = ""
    serving_timeout_seconds: float = 10.0
    retry_seconds: float = 2.0
    max_upload_bytes: int = 15 * MIB
    max_pixels: int = images.MAX_PIXELS
    upload_rate: str = "30 per minute; 500 per day"
    visitor_rate: str = "200 per day"
    total_rate: str = "5000 per day"
    metrics_from: str = "127.0.0.0/8, ::1"
    script_name: str = ""
    trusted_proxies: int = 0
    hsts_seconds: int = 31_536_000
    keep_days: int = 365
    max_stored_bytes: int = 20 * 1024 * MIB
    contact: str = ""
    report_url: str = ""

    @property
    def is_development(self) -> bool:
        return self.pilah_env == DEVELOPMENT

    @property
    def metrics_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(part.strip(), strict=False) for part in self.metrics_from.split(",")]


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and the next step on one line."""


def read(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings in the environment, replaced by `overrides` (field name -> value).

    Raises:
        SettingsError: a value is invalid or out of range, a token or key is too short, or the key is missing.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        text = environment.get(field.name.upper())
        if text:
            values[field.name] = _convert(field.name, text, type(field.default))
    settings = dataclasses.replace(Settings(), **{**values, **(overrides or {})})
    _check_rates(settings)
    _check_metrics_networks(settings)
    _check_serving_target(settings.serving_target)
    _check_report_url(settings.report_url)
    settings = dataclasses.replace(settings, database_url=_database_url(settings.database_url))
    if 0 < len(settings.admin_token) < 16:
        raise SettingsError(
            f"ADMIN_TOKEN must be empty or have at least 16 characters (it has {len(settings.admin_token)}). "
            f"Generate one: export ADMIN_TOKEN={NEW_SECRET}"
        )
    if settings.secret_key:
        if len(settings.secret_key) < data_folder.MIN_KEY_LENGTH:
            raise SettingsError(
                f"SECRET_KEY must have at least {data_folder.MIN_KEY_LENGTH} characters "
                f"(it has {len(settings.secret_key)}). Generate one: export SECRET_KEY={NEW_SECRET}"
            )
        return settings
    if not settings.is_development:
        raise SettingsError(
            f"SECRET_KEY must be set outside development, with Compose in .env. "
            f"Generate one: export SECRET_KEY={NEW_SECRET}"
        )
    return settings


def _convert(name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    kind_name = "whole number" if kind is int else "number"
    smallest, largest = LIMITS[name]
    try:
        value = kind(text)
        if smallest <= value <= largest:  # false for NaN
            return value
    except ValueError:
        pass
    raise SettingsError(
        f"{name.upper()} must be a {kind_name} from {smallest} to {largest} (got {text[:40]}). "
        "Unset it for the default."
    )


def _check_rates(settings: Settings) -> None:
    for name in ("upload_rate", "visitor_rate", "total_rate"):
        rate = getattr(settings, name)
        try:
            limits.parse_many(rate)
        except ValueError as error:
            example = getattr(Settings, name)
            raise SettingsError(f"{name.upper()} must be a rate like '{example}' (got {rate}).") from error


def _check_metrics_networks(settings: Settings) -> None:
    try:
        _ = settings.metrics_networks
    except ValueError as error:
        raise SettingsError(
            f"METRICS_FROM must be networks separated by commas, such as 127.0.0.0/8, 10.0.0.0/8 "
            f"(got {settings.metrics_from})."
        ) from error


def _check_serving_target(target: str) -> None:
    """Raise an error unless `target` is HOST:PORT, because gRPC would wait forever for other targets."""
    try:
        channel.check_address(target)
    except ValueError as error:
        raise SettingsError(f"SERVING_TARGET {error}") from error


def _check_report_url(url: str) -> None:
    if url:
        try:
            address = urllib.parse.urlsplit(url)
            is_valid = address.scheme in ("http", "https") and bool(address.hostname)
        except ValueError:
            is_valid = False
        if not is_valid:
            raise SettingsError(f"REPORT_URL must be a URL with https:// or http:// and a host (got {url[:40]}).")


def _database_url(text: str) -> str:
    """Return `text` with the installed driver; errors show only its scheme, because it contains a password."""
    if not text:
        return ""
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(f"DATABASE_URL must be a URL like {DATABASE_URLS}.") from None
    if (
        url.drivername != "sqlite" and text.count("@") > 1
    ):  # errors name the host, with a part of the password before it
        raise SettingsError("DATABASE_URL: write @ in the user or password as %40.")
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise SettingsError("DATABASE_URL must name a SQLite file: sqlite:////FOLDER/FILE.")
    if url.drivername not in ("postgresql+psycopg", "sqlite"):
        scheme = url.drivername[:30]
        raise SettingsError(f"DATABASE_URL must be like {DATABASE_URLS} (got a URL with the scheme {scheme!r}).")
    return url.render_as_string(hide_password=False)
