"""Settings of the service, from environment variables SIAN_*."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.keys import ApiKeys
from model.errors import SettingsInvalid
from model.images import MAX_STYLE_PIXELS

DEFAULT_CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "sian-release.safetensors"

SECRETS = ("api_keys", "broker_url")
"""Settings whose value is never shown. SIAN_API_KEYS_FILE and SIAN_BROKER_URL_FILE may name a
file that holds it, as containers are handed their secrets. The file comes before the variable:
docker-compose.yml always sets SIAN_BROKER_URL."""


_WHAT_TO_WRITE = {
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a smaller number",
    "float_parsing": "write a number",
    "bool_parsing": "write true or false",
    "literal_error": "write {expected}",
    "greater_than": "write a number above {gt:g}",
    "greater_than_equal": "write {ge:g} or more",
    "less_than_equal": "write {le:g} or less",
    "finite_number": "write a finite number",
}
"""For pydantic's own errors by type, whose messages speak to programmers."""


def _matching(pattern: str, otherwise: str) -> AfterValidator:
    """For text that ``pattern`` matches as a whole; ``otherwise`` says what to write."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(otherwise)
        return value

    return AfterValidator(check)


_Redis = Annotated[str, _matching("rediss?://.*", "write the URL of a Redis: redis://host:6379/0")]
_Device = Annotated[str, _matching(r"cpu|mps|cuda(:\d+)?", "write cpu, mps, cuda or cuda:N")]


def _checked_limit(value: str) -> str:
    import limits

    try:
        limits.parse_many(value)
    except ValueError:
        raise ValueError("write a number per second, minute, hour or day: 120/minute") from None
    return value


def _checked_networks(value: str) -> str:
    # Uvicorn takes what it cannot read for a name, which no client ever has.
    for entry in filter(None, (entry.strip() for entry in value.split(","))):
        try:
            ip_network(entry)
        except ValueError as error:
            raise ValueError(
                f"{error}; write addresses or networks: 127.0.0.1,10.0.0.0/8"
            ) from None
    return value


class Settings(BaseSettings):
    """Built once at start-up and passed on; nothing reads the environment after that."""

    model_config = SettingsConfigDict(env_prefix="SIAN_", env_ignore_empty=True, frozen=True)

    checkpoint: Path = Field(
        DEFAULT_CHECKPOINT, description="The .safetensors of a checkpoint; its card lies beside it."
    )
    data_dir: Path = Field(
        Path("data"),
        description="Folder for job records and files. Without a broker one server has it at a "
        "time.",
    )
    broker_url: _Redis | None = Field(
        None,
        description="Redis, such as redis://localhost:6379/0: job records and queue, shared by "
        "front ends and workers. Unset: one process does it all.",
    )
    artifacts_url: str | None = Field(
        None,
        description="Where the files of jobs are: a folder, or s3://bucket/prefix. The folder "
        "'artifacts' of data_dir unless given.",
    )
    device: _Device = Field("cpu", description="cpu, mps, cuda or cuda:N.")
    precision: Literal["fp32", "bf16", "fp16"] | None = Field(
        None, description="Of the network on CUDA; bf16 unless given. The CPU computes in fp32."
    )
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="CPU threads of the network; all cores unless given.",
    )
    max_batch: int = Field(
        8, ge=1, le=64, description="How many tiles go through the network together."
    )
    max_wait_ms: float = Field(
        20.0,
        ge=0,
        le=10_000,
        description="How long a tile waits for others that are being prepared.",
    )
    queue_limit: int = Field(
        64, ge=1, description="How many jobs may wait; one more is answered with 429."
    )
    storage_wait_s: float = Field(
        120.0,
        ge=0,
        le=24 * 3600,
        description="How long a job waits for files that cannot be read or written.",
    )
    retention_hours: float = Field(
        24.0, gt=0, le=24 * 365, description="How long a finished job and its tiles are kept."
    )
    max_upload_mb: float = Field(
        32.0, gt=0, allow_inf_nan=False, description="Largest body of a request, in MiB."
    )
    max_style_mpx: float = Field(
        32.0,
        gt=0,
        le=MAX_STYLE_PIXELS / 1e6,
        allow_inf_nan=False,
        description="Largest style image, in million pixels.",
    )
    max_styles: int = Field(
        1000, ge=0, le=100_000, description="How many custom styles are kept; 0 keeps none."
    )
    max_dataset_tiles: int = Field(
        10_000, ge=1, le=100_000, description="Tiles in a dataset that is made on request."
    )
    response_wait_s: float = Field(
        60.0,
        ge=0,
        allow_inf_nan=False,
        description="How long a request waits for its tile before it is answered 202.",
    )
    api_keys: ApiKeys = Field(
        default=(),
        description="Keys that clients must send, name:key, separated by commas. None are needed "
        "on a loopback address.",
    )
    allow_anonymous: bool = Field(
        False, description="Listen on a public address without API keys all the same."
    )
    rate_limit: Annotated[str, AfterValidator(_checked_limit)] | None = Field(
        None,
        description="Requests for tiles each API key may send, such as 120/minute; without keys, "
        "each address.",
    )
    trusted_proxies: Annotated[str, AfterValidator(_checked_networks)] = Field(
        "",
        description="Addresses and networks of proxies, separated by commas, that are believed "
        "when they say in X-Forwarded-For whom a request is from. Others are not.",
    )
    drain_s: float = Field(
        1.0,
        ge=0,
        le=600,
        description="How long a server that is told to stop by SIGTERM goes on serving, with "
        "/readyz at 503, so that whoever balances the load can turn away.",
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines of text, or of JSON.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _SecretFiles(settings_cls), env_settings

    @classmethod
    def load(cls, **given: Any) -> "Settings":
        """From the environment; ``given`` values that are not None come first.

        Raises:
            SettingsInvalid: names the variable, the value if it is no secret, and what is wrong.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            value = "" if name in SECRETS else f"={first['input']}"
            reason = first["msg"].removeprefix("Value error, ")
            if first["type"] in _WHAT_TO_WRITE:
                reason = _WHAT_TO_WRITE[first["type"]].format(**first.get("ctx", {}))
            raise SettingsInvalid(f"SIAN_{name.upper()}{value}: {reason}.") from None


class _SecretFiles(PydanticBaseSettingsSource):
    """The content of files that SIAN_*_FILE name. What is named must be there and say something:
    without its keys the service would be open to everybody."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"SIAN_{field_name.upper()}_FILE"
        path = os.environ.get(variable, "")
        if not path:
            return None, field_name, False
        try:
            text = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise SettingsInvalid(
                f"{variable}={path}: the file cannot be read: {reason}."
            ) from None
        if not text:
            raise SettingsInvalid(f"{variable}={path}: the file is empty.")
        return text, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(fields[name], name)[0] for name in SECRETS}
        return {name: value for name, value in found.items() if value}
