"""`python -m trainer.weights_check FILE OUT SECONDS BYTES`: reads a file of unknown weights.

In a process of its own, with limits on time and memory: whatever the file is made to do while it
is read ends here. Prints one JSON object: `{"sha256", "tensors", "converted"}` or `{"problem"}`.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from pathlib import Path
from typing import Any

from kinsight.errors import KinsightError, UnfitWeights


def main() -> None:
    file, out, seconds, memory = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CPU, (int(float(seconds)),) * 2)
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory),) * 2)
    try:
        answer = _read(Path(file), Path(out))
    except KinsightError as error:
        answer = {"problem": error.problem()}
    except Exception as error:  # noqa: BLE001  # a file made for it raises anything at all
        answer = {"problem": UnfitWeights(f"The weights cannot be read: {error!r:.200}").problem()}
    print(json.dumps(answer))


def _read(file: Path, out: Path) -> dict[str, Any]:
    """Writes a state dict to `out` as safetensors; a safetensors file stays as it is."""
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    from kinsight.networks import weights

    state = weights.load_state(file)
    converted = not _is_safetensors(file)
    if converted:
        from safetensors.torch import save_file

        # Tensors of a state dict may share memory, which the format has no way to say.
        save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, out)
    return {"sha256": sha256, "tensors": len(state), "converted": converted}


def _is_safetensors(file: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt"):
            return True
    except SafetensorError:
        return False


if __name__ == "__main__":
    main()
