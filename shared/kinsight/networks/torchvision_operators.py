"""Lets torchvision load beside a torch that its compiled operators were not built for.

A CPU build of torch with PyPI's torchvision (built for CUDA) cannot load torchvision's shared
library, and `import torchvision` then stops at `operator torchvision::nms does not exist`. The
networks need none of those operators; their schemas alone let the import pass.
"""

from __future__ import annotations

import sys

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

# A library's definitions vanish with the object that made them.
_definitions: list[torch.library.Library] = []


def mend() -> None:
    """Defines the missing schemas; does nothing where torchvision loads by itself."""
    if "torchvision" in sys.modules or _definitions or _extension_loads():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")  # noqa: TOR901
    for name, schema in _SCHEMAS.items():
        if not _defined(name):
            library.define(schema)
    _definitions.append(library)


def _extension_loads() -> bool:
    """True where torchvision's own operators can be loaded, which it does when imported."""
    from importlib.util import find_spec

    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    from pathlib import Path

    folder = Path(spec.submodule_search_locations[0])
    for file in [*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]:
        try:
            torch.ops.load_library(str(file))
        except OSError:
            return False
    return _defined("nms")


def _defined(name: str) -> bool:
    try:
        getattr(torch.ops.torchvision, name)
    except (AttributeError, RuntimeError):
        return False
    return True
