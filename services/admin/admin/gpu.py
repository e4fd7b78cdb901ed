"""Whether this machine has a GPU, asked of the driver and not of torch."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")
_SECONDS = 10.0


async def present() -> list[str]:
    """The names of the GPUs that the driver knows; empty where there is none, or no driver."""
    return names_in(_DRIVER) or await names_by_tool()


def names_in(folder: Path) -> list[str]:
    """/proc/driver/nvidia/gpus/<bus>/information has a line `Model: <name>` for each."""
    if not folder.is_dir():
        return []
    names = []
    for file in sorted(folder.glob("*/information")):
        lines = file.read_text(errors="replace").splitlines()
        model = next((line for line in lines if line.startswith("Model:")), "Model: GPU")
        names.append(model.partition(":")[2].strip())
    return names


async def names_by_tool() -> list[str]:
    """`nvidia-smi -L` prints one line `GPU 0: <name> (UUID: …)` for each."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    process = await asyncio.create_subprocess_exec(
        tool, "-L", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return []
    lines = output.decode(errors="replace").splitlines() if process.returncode == 0 else []
    return [line.partition(":")[2].partition("(")[0].strip() for line in lines if line[:3] == "GPU"]
