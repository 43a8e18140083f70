"""Options of a request that are read, or refused in one line, before any work."""

from __future__ import annotations

import pytest

from plugin_core.errors import OptionError
from plugin_core.noise.calibration import Calibration, IsoCalibration, Method
from plugin_core.noise.calibration_file import to_text
from plugin_core.rpc.translate import denoise_job
from plugin_core.rpc.v1 import restoration_pb2 as pb

TEXT = to_text(
    Calibration("A", "B", 40, 60, "MONOCHROME", (IsoCalibration(100, Method.SINGLE, (1e-4,), (1e-6,), 0.5),))
)


def test_a_calibration_is_read_with_its_name_and_digest() -> None:
    job = denoise_job(pb.DenoiseOptions(noise_calibration=pb.NoiseCalibration(name="mine.json", text=TEXT)), True)
    assert job.calibration is not None
    assert (job.calibration.name, job.calibration.calibration.model, job.noise) == ("mine.json", "B", None)
    other = denoise_job(pb.DenoiseOptions(noise_calibration=pb.NoiseCalibration(text=TEXT + " ")), True)
    assert other.calibration is not None
    assert other.calibration.sha256 != job.calibration.sha256


def test_what_is_no_calibration_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^the request: no noise calibration: not JSON"):
        denoise_job(pb.DenoiseOptions(noise_calibration=pb.NoiseCalibration(text="{")), True)
    both = pb.DenoiseOptions(
        noise=pb.NoiseParameters(a=[1e-4], b=[1e-6]), noise_calibration=pb.NoiseCalibration(text=TEXT)
    )
    with pytest.raises(OptionError, match="expected one"):
        denoise_job(both, True)
