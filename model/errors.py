"""Every error this project raises on purpose, as one tree.

SianError
├── InvalidInput                 something the caller sent or typed; never the server's fault
│   ├── ParameterInvalid         parameter_invalid
│   ├── UploadTooLarge           upload_too_large
│   ├── IdempotencyMismatch      idempotency_mismatch
│   ├── MaskError
│   │   ├── MaskMissing          mask_missing
│   │   ├── MaskEmptyFile        mask_empty_file
│   │   ├── MaskUnreadable       mask_unreadable
│   │   ├── MaskTooLarge         mask_too_large
│   │   ├── MaskTooSmall         mask_too_small
│   │   ├── MaskBinary           mask_binary
│   │   ├── MaskColour           mask_colour
│   │   ├── MaskFloat            mask_float
│   │   ├── MaskNegative         mask_negative
│   │   ├── MaskIdTooLarge       mask_id_too_large
│   │   ├── MaskShape            mask_shape
│   │   └── MaskUnwritable       mask_unwritable
│   └── StyleError
│       ├── StyleMissing         style_missing
│       ├── StyleConflict        style_conflict
│       ├── StyleUnknown         style_unknown
│       ├── StyleUnreadable      style_unreadable
│       ├── StyleTooSmall        style_too_small
│       ├── StyleTooLarge        style_too_large
│       ├── StyleWeightsInvalid  style_weights_invalid
│       └── StyleNameInvalid     style_name_invalid
├── ServiceError                 the service cannot do it, now or any more
│   ├── JobUnknown               job_unknown
│   ├── JobExpired               job_expired
│   ├── JobKindUnknown           job_kind_unknown
│   ├── OutputUnknown            output_unknown
│   ├── JobCanceled              job_canceled
│   ├── CheckpointChanged        checkpoint_changed
│   ├── DatasetUnfinished        dataset_unfinished
│   ├── NotAcceptable            not_acceptable
│   ├── KeyInvalid               key_invalid
│   ├── RequestInFlight          request_in_flight
│   ├── StyleNameTaken           style_name_taken
│   ├── StyleIsPreset            style_is_preset
│   ├── StyleOutdated            style_outdated
│   ├── StylesFull               styles_full
│   ├── TryAgainLater
│   │   ├── QueueFull            queue_full
│   │   ├── RateLimited          rate_limited
│   │   ├── StoreUnavailable     store_unavailable
│   │   └── StorageUnavailable   storage_unavailable
│   ├── DeadlineExceeded         deadline_exceeded
│   ├── OutOfMemory              out_of_memory
│   ├── WorkerLost               worker_lost
│   ├── WorkerStalled            worker_stalled
│   └── SynthesisFailed          synthesis_failed
├── CheckpointError              a checkpoint that cannot be served
│   ├── CheckpointMissing        checkpoint_missing
│   ├── CheckpointTruncated      checkpoint_truncated
│   ├── CheckpointVersion        checkpoint_version
│   ├── CheckpointHash           checkpoint_hash
│   └── CheckpointMismatch       checkpoint_mismatch
├── SettingsInvalid              settings_invalid
├── FileUnwritable               file_unwritable
└── TrainingError
    ├── DataInvalid              data_invalid
    ├── WeightsMissing           weights_missing
    ├── NonFiniteLoss            non_finite_loss
    ├── ResumeMismatch           resume_mismatch
    ├── RunBusy                  run_busy
    ├── RunUnfinished            run_unfinished
    └── RunStopped               run_stopped

``code`` is stable: clients and tests rely on it. The message says what was wrong and what
to do about it, in words meant for the person who reads it. How a class becomes an HTTP
status or an exit code is decided in one table, ``app/problems.py``.
"""

from typing import ClassVar


class SianError(Exception):
    """Root of the tree. ``str(error)`` is the sentence shown to the user."""

    code: ClassVar[str] = "sian_error"


class InvalidInput(SianError):
    code = "invalid_input"


class ParameterInvalid(InvalidInput):
    code = "parameter_invalid"


class UploadTooLarge(InvalidInput):
    code = "upload_too_large"


class IdempotencyMismatch(InvalidInput):
    """An Idempotency-Key that was used for another request."""

    code = "idempotency_mismatch"


class MaskError(InvalidInput):
    code = "mask_error"


class MaskMissing(MaskError):
    code = "mask_missing"


class MaskEmptyFile(MaskError):
    code = "mask_empty_file"


class MaskUnreadable(MaskError):
    code = "mask_unreadable"


class MaskTooLarge(MaskError):
    code = "mask_too_large"


class MaskTooSmall(MaskError):
    code = "mask_too_small"


class MaskBinary(MaskError):
    code = "mask_binary"


class MaskColour(MaskError):
    code = "mask_colour"


class MaskFloat(MaskError):
    code = "mask_float"


class MaskNegative(MaskError):
    code = "mask_negative"


class MaskIdTooLarge(MaskError):
    code = "mask_id_too_large"


class MaskShape(MaskError):
    code = "mask_shape"


class MaskUnwritable(MaskError):
    code = "mask_unwritable"


class StyleError(InvalidInput):
    code = "style_error"


class StyleMissing(StyleError):
    code = "style_missing"


class StyleConflict(StyleError):
    code = "style_conflict"


class StyleUnknown(StyleError):
    code = "style_unknown"


class StyleUnreadable(StyleError):
    code = "style_unreadable"


class StyleTooSmall(StyleError):
    code = "style_too_small"


class StyleTooLarge(StyleError):
    code = "style_too_large"


class StyleWeightsInvalid(StyleError):
    code = "style_weights_invalid"


class StyleNameInvalid(StyleError):
    """A name that no custom style can have."""

    code = "style_name_invalid"


class ServiceError(SianError):
    code = "service_error"


class JobUnknown(ServiceError):
    code = "job_unknown"


class JobExpired(ServiceError):
    code = "job_expired"


class JobKindUnknown(ServiceError):
    """A job of a kind that this version of the software does not know."""

    code = "job_kind_unknown"


class OutputUnknown(ServiceError):
    code = "output_unknown"


class JobCanceled(ServiceError):
    code = "job_canceled"


class CheckpointChanged(ServiceError):
    code = "checkpoint_changed"


class DatasetUnfinished(ServiceError):
    code = "dataset_unfinished"


class NotAcceptable(ServiceError):
    code = "not_acceptable"


class KeyInvalid(ServiceError):
    """No API key, or not one of those that are set."""

    code = "key_invalid"


class RequestInFlight(ServiceError):
    """The job of an Idempotency-Key is not finished yet. ``job_id`` names it."""

    code = "request_in_flight"

    def __init__(self, message: str, *, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class StyleNameTaken(ServiceError):
    """A custom style of that name was encoded from another image."""

    code = "style_name_taken"


class StyleIsPreset(ServiceError):
    """A preset can be neither replaced nor removed."""

    code = "style_is_preset"


class StyleOutdated(ServiceError):
    """A custom style that was encoded by another checkpoint, which means nothing to this one."""

    code = "style_outdated"


class StylesFull(ServiceError):
    """As many custom styles are kept as may be."""

    code = "styles_full"


class TryAgainLater(ServiceError):
    """``retry_after_s``: whole seconds after which it may work."""

    code = "try_again_later"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(TryAgainLater):
    code = "queue_full"


class RateLimited(TryAgainLater):
    code = "rate_limited"


class StoreUnavailable(TryAgainLater):
    """The job records or the broker cannot be reached."""

    code = "store_unavailable"


class StorageUnavailable(TryAgainLater):
    """The files of jobs cannot be read or written: a full disk, an S3 that does not answer."""

    code = "storage_unavailable"


class DeadlineExceeded(ServiceError):
    code = "deadline_exceeded"


class OutOfMemory(ServiceError):
    """The device has too little memory, also for half the batch."""

    code = "out_of_memory"


class WorkerLost(ServiceError):
    """A job whose workers died each time they ran it."""

    code = "worker_lost"


class WorkerStalled(ServiceError):
    """A worker whose device makes no progress; it ends itself."""

    code = "worker_stalled"


class SynthesisFailed(ServiceError):
    code = "synthesis_failed"


class CheckpointError(SianError):
    code = "checkpoint_error"


class CheckpointMissing(CheckpointError):
    code = "checkpoint_missing"


class CheckpointTruncated(CheckpointError):
    code = "checkpoint_truncated"


class CheckpointVersion(CheckpointError):
    code = "checkpoint_version"


class CheckpointHash(CheckpointError):
    code = "checkpoint_hash"


class CheckpointMismatch(CheckpointError):
    code = "checkpoint_mismatch"


class SettingsInvalid(SianError):
    code = "settings_invalid"


class FileUnwritable(SianError):
    """A file of results that the system does not let be written."""

    code = "file_unwritable"


class TrainingError(SianError):
    code = "training_error"


class DataInvalid(TrainingError):
    code = "data_invalid"


class WeightsMissing(TrainingError):
    code = "weights_missing"


class NonFiniteLoss(TrainingError):
    code = "non_finite_loss"


class ResumeMismatch(TrainingError):
    code = "resume_mismatch"


class RunBusy(TrainingError):
    """Another process works on the run."""

    code = "run_busy"


class RunUnfinished(TrainingError):
    """Out of time; what was done is kept, and the same command goes on."""

    code = "run_unfinished"


class RunStopped(TrainingError):
    """Somebody stopped it; what was done is kept, and the same command goes on."""

    code = "run_stopped"
