"""Settings of the service, from environment variables SIAN_*."""

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.errors import SettingsInvalid

DEFAULT_CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "sian-release.safetensors"


class Settings(BaseSettings):
    """Built once at start-up and passed on; nothing reads the environment after that."""

    model_config = SettingsConfigDict(env_prefix="SIAN_", env_ignore_empty=True, frozen=True)

    checkpoint: Path = Field(
        DEFAULT_CHECKPOINT, description="The .safetensors of a checkpoint; its card lies beside it."
    )
    data_dir: Path = Field(
        Path("data"), description="Folder for job records and files. One server has it at a time."
    )
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N.")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="CPU threads of the network; all cores unless given.",
    )
    queue_limit: int = Field(
        64, ge=1, description="How many jobs may wait; one more is answered with 429."
    )
    retention_hours: float = Field(
        24.0, gt=0, le=24 * 365, description="How long a finished job and its tiles are kept."
    )
    max_upload_mb: float = Field(
        32.0, gt=0, allow_inf_nan=False, description="Largest body of a request, in MiB."
    )
    max_style_mpx: float = Field(
        32.0, gt=0, allow_inf_nan=False, description="Largest style image, in million pixels."
    )
    response_wait_s: float = Field(
        60.0,
        ge=0,
        allow_inf_nan=False,
        description="How long a request waits for its tile before it is answered 202.",
    )

    @classmethod
    def load(cls, **given: Any) -> "Settings":
        """From the environment; ``given`` values that are not None come first.

        Raises:
            SettingsInvalid: names the variable, the value and what is wrong.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            variable = "SIAN_" + "_".join(str(part) for part in first["loc"]).upper()
            raise SettingsInvalid(f"{variable}={first['input']}: {first['msg']}.") from None
