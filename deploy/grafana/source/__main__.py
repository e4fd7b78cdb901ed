"""`python deploy/grafana/source`: writes deploy/grafana/dashboards/*.json.

With a folder as its argument it writes there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from infrastructure import jobs_and_infrastructure
from searching import throughput_and_sla
from training import training

_FOLDER = Path(__file__).resolve().parent.parent / "dashboards"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER
    for made in (throughput_and_sla(), training(), jobs_and_infrastructure()):
        text = json.dumps(made, indent=2, ensure_ascii=False)
        (folder / f"{made['uid']}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
