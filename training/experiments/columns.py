"""The columns that tables share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """measure: its key in the rows. None: the column has the values that the paper prints.

    printed: its key in the paper's table, None if not there. deviation: whether the one over the
    seeds is shown.
    """

    title: str
    measure: str | None
    printed: str | None = None
    digits: int = 3
    factor: float = 1.0
    deviation: bool = True

    def text(self, value: float, *, signed: bool = False) -> str:
        """The value as it is shown."""
        return f"{self.factor * value:{'+' if signed else ''}.{self.digits}f}"


FID_768 = Column("FID-768", "fid_768")
FID_1280 = Column("FID-1280", "fid_1280")
FID_LITE0 = Column("FID-Lite0", "fid_lite0_1280")
FID_2048 = Column("FID-2048", "fid_2048", None, 1)
KID = Column("KID-768 x 1000", "kid", factor=1000)
KID_ERROR = Column("error of KID-768 x 1000 over slides", "kid_error", factor=1000, deviation=False)
SSIM = Column("SSIM", "ssim", "ssim")

DISTANCES = (
    FID_768,
    FID_1280,
    FID_2048,
    Column("FID-2048 in the paper", None, "fid", 1),
    FID_LITE0,
    KID,
    Column("spread of KID-768 x 1000", "kid_deviation", factor=1000, deviation=False),
    KID_ERROR,
)

PANOPTIC = (Column("DQ", "dq", "dq"), Column("SQ", "sq", "sq"), Column("PQ", "pq", "pq"))

QUALITY = (*PANOPTIC, Column("AJI", "aji"))

GAIN = (
    Column("PQ over the augmented real set", "pq_gain"),
    Column("its error over slides", "pq_gain_error", deviation=False),
)

APPEARANCE = (
    Column("Lab distance", "lab", digits=2),
    Column("gradient energy", "energy", digits=2),
    Column("haematoxylin AUC", "auc"),
)
