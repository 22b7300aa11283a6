"""Where the time of a sitting goes: images and operations a second, and waiting for data."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.flop_counter import FlopCounterMode

_WARM_UP_STEPS = 5  # the first steps allocate, choose algorithms and fill the loader


class Profile:
    """Counts the operations of the first step, and times those after the warm-up.

    An operation is a floating point multiplication or addition in a convolution or matrix
    product, forward or backward; whatever else a step does is not counted.
    """

    def __init__(self) -> None:
        self.operations = 0
        self._steps, self._images, self._seconds, self._waited = 0, 0, 0.0, 0.0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Around each step."""
        if self.operations:
            yield
            return
        with FlopCounterMode(display=False) as counter:
            yield
        self.operations = counter.get_total_flops()

    def add(self, *, images: int, seconds: float, waited: float) -> None:
        """A step took ``seconds`` for its images; for ``waited`` of them the device had no data."""
        self._steps += 1
        if self._steps > _WARM_UP_STEPS:
            self._images += images
            self._seconds += seconds
            self._waited += waited

    def report(self) -> str:
        """One line; of a sitting that is too short, that it is."""
        timed = self._steps - _WARM_UP_STEPS
        if timed < 1:
            return f"profile: needs more than {_WARM_UP_STEPS} steps"
        rate = timed * self.operations / self._seconds
        return (
            f"profile: {self._images / self._seconds:.3g} images/s, "
            f"{self.operations / 1e9:.4g} GFLOP a step, {rate / 1e12:.3g} TFLOP/s, "
            f"{self._waited / self._seconds:.1%} of the time waiting for data "
            f"({timed} steps)"
        )
