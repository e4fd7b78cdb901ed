"""The doctor's checks of the services: ready, on the right device, of what versions."""

from __future__ import annotations

import platform

from admin import gpu
from admin.state import State
from kinsight import __version__
from kinsight.clients.http import ServiceClient
from kinsight.contracts.admin import DoctorCheck
from kinsight.contracts.extraction import DeviceReport

_READY_SECONDS = 5.0


async def ready(service: ServiceClient) -> DoctorCheck:
    """Raises what the service says it lacks."""
    await service.json("GET", "/readyz", timeout_seconds=_READY_SECONDS)
    return DoctorCheck(check=service.name, ok=True, detail="ready")


async def device(state: State) -> DoctorCheck:
    """What the networks really run on, measured now."""
    report = await state.extractor.device(measure=True)
    gpus = await gpu.present()
    if gpus and report.device == "cpu":
        return DoctorCheck(
            check="device",
            ok=False,
            detail=f"GPU present but not used: {', '.join(gpus)}; {_speed(report)}",
            advice="Install a torch with CUDA that fits the driver, and set KINSIGHT_DEVICE to "
            "`auto`; in a container, pass the GPU to the feature-extractor.",
        )
    return DoctorCheck(
        check="device",
        ok=True,
        detail=_speed(report),
        advice=None
        if report.images_per_second
        else "No model is loaded yet, so there was nothing to measure; search once, or train.",
    )


async def versions(state: State) -> DoctorCheck:
    report = await state.extractor.device()
    theirs = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return DoctorCheck(
        check="versions",
        ok=True,
        detail=f"kinsight {__version__}, python {platform.python_version()}; "
        f"the feature-extractor has {theirs}",
    )


def _speed(report: DeviceReport) -> str:
    measured = (
        f"{report.images_per_second:,.1f} images/s with {report.model}"
        if report.images_per_second
        else "not measured"
    )
    return f"runs on {report.device} ({report.name}), {measured}"
