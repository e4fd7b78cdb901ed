"""Uploaded weights: checked once, kept as safetensors under their own hash."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from kinsight.contracts.models import WeightsInfo
from kinsight.errors import BadRequest, InvalidRequest, KinsightError, UnfitWeights, WeightsNotFound
from kinsight.store import Store
from trainer.settings import TrainerSettings

_NAME = re.compile(r"sha256:([0-9a-f]{64})")
_CHUNK = 1 << 20
CHECK_FOLDER = "weights-"  # begins the names of scratch folders


class WeightsStore:
    def __init__(self, store: Store, settings: TrainerSettings) -> None:
        self._store = store
        self._settings = settings
        self._examining = asyncio.Lock()  # one at a time: each may take the memory of its limit

    async def add(self, upload: str) -> WeightsInfo:
        """Checks and keeps an uploaded file, and deletes the upload either way.

        Raises BlobNotFound, UnfitWeights. The same file again is kept once.
        """
        if not upload.startswith("uploads/"):
            raise BadRequest("`upload` is the store key of an upload: it begins with uploads/.")
        self._settings.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=CHECK_FOLDER, dir=self._settings.scratch, ignore_cleanup_errors=True
        ) as folder:
            try:
                async with self._store.local_file(upload) as path:
                    return await self._keep(path, Path(folder) / "weights.safetensors")
            finally:
                await self._store.delete(upload)

    async def check_name(self, weights: str) -> None:
        """Raises InvalidRequest for what is no name of weights, WeightsNotFound for unknown."""
        if weights not in ("default", "none"):
            await self._existing_key(weights)

    async def file(self, weights: str) -> AbstractAsyncContextManager[Path]:
        """A local path to weights named `sha256:…`; raises WeightsNotFound."""
        return self._store.local_file(await self._existing_key(weights))

    async def _keep(self, path: Path, converted: Path) -> WeightsInfo:
        if not _may_be_weights(path):
            raise UnfitWeights(
                "The file is neither a safetensors file nor a PyTorch state dict; write one with "
                "safetensors.torch.save_file(model.state_dict(), path)."
            )
        async with self._examining:
            found = await self._examine(path, converted)
        key = _key(found["sha256"])
        if await self._store.size(key) is None:
            await self._store.put_stream(key, _chunks(converted if found["converted"] else path))
        return WeightsInfo(
            weights=f"sha256:{found['sha256']}",
            tensors=found["tensors"],
            bytes=await self._store.size(key) or 0,
        )

    async def _examine(self, path: Path, converted: Path) -> dict[str, Any]:
        seconds, memory = self._settings.weights_check_seconds, self._settings.weights_check_bytes
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "trainer.weights_check",
            str(path),
            str(converted),
            str(seconds),
            str(memory),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(seconds):
                output, _ = await process.communicate()
        except TimeoutError as error:
            raise _unreadable(seconds, memory) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise _unreadable(seconds, memory)
        answer: dict[str, Any] = json.loads(output.splitlines()[-1])
        if "problem" in answer:
            raise KinsightError.from_problem(answer["problem"])
        return answer

    async def _existing_key(self, weights: str) -> str:
        match = _NAME.fullmatch(weights)
        if match is None:
            raise InvalidRequest(
                f"weights is {weights!r:.100}; it is `default`, `none`, or `sha256:…` as "
                "`POST /weights` answers it."
            )
        key = _key(match[1])
        if await self._store.size(key) is None:
            raise WeightsNotFound(
                f"The weights {weights[:19]}… are not in the store; send the file to "
                "`POST /weights` first."
            )
        return key


def _may_be_weights(path: Path) -> bool:
    """By its first bytes: a safetensors header, a zip as torch writes it, or a pickle."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:9] == b"{" or start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"


def _key(sha256: str) -> str:
    return f"weights/{sha256}.safetensors"


def _unreadable(seconds: float, memory: int) -> UnfitWeights:
    return UnfitWeights(
        f"The weights could not be read in {seconds:.0f} s and {memory >> 30} GiB of memory; send "
        "a safetensors file, as safetensors.torch.save_file(model.state_dict(), path) writes it."
    )


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
