"""Lets torchvision load beside a torch that its compiled operators were not built for.

A CPU build of torch with PyPI's torchvision (built for CUDA) cannot load torchvision's shared
library, and `import torchvision` then stops at `operator torchvision::nms does not exist`. The
networks need none of those operators; their schemas alone let the import pass.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

# A library's definitions vanish with the object that made them.
_definitions: list[torch.library.Library] = []


def mend() -> None:
    """Defines the schemas that are missing; call it before the first import of torchvision."""
    if "torchvision" in sys.modules or _definitions or _compiled_operators_load():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in _SCHEMAS.items():
        if not _defined(name):
            library.define(schema)  # type: ignore[no-untyped-call]
    _definitions.append(library)


def _compiled_operators_load() -> bool:
    """Whether torchvision's own library fits this torch; loading it twice does no harm."""
    spec = find_spec("torchvision")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in [*Path(folder).glob("_C*.so"), *Path(folder).glob("_C*.pyd")]:
            try:
                torch.ops.load_library(str(file))  # type: ignore[no-untyped-call]
            except OSError:
                return False
    return _defined("nms")


def _defined(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)
