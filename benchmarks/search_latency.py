"""How long a search takes, and where the time goes.

python benchmarks/search_latency.py --library clothing --queries photos/ [--requests 500]

Sends pictures of a folder one after another over one kept connection, after some that warm up,
and prints the percentiles of the time that the client waits, of the server's own total, and the
means of the parts in `timings_ms` with their sum.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from kinsight.clients import Kinsight
from kinsight.clients.public_body import members
from kinsight.errors import KinsightError

_PERCENTILES = (50, 90, 99, 100)


@dataclass
class Measured:
    waited_ms: list[float] = field(default_factory=list)
    timings_ms: list[dict[str, float]] = field(default_factory=list)
    device: str = ""

    def percentiles(self, values: list[float]) -> dict[str, float]:
        """Nearest rank: the smallest value that so many per cent of all do not exceed."""
        ordered = sorted(values)
        ranks = {p: max(0, -(-p * len(ordered) // 100) - 1) for p in _PERCENTILES}
        return {f"p{p}" if p < 100 else "max": round(ordered[r], 2) for p, r in ranks.items()}

    def report(self) -> dict[str, object]:
        names = list(dict.fromkeys(name for timings in self.timings_ms for name in timings))
        means = {
            name: round(statistics.fmean(t.get(name, 0.0) for t in self.timings_ms), 3)
            for name in names
        }
        total = means.pop("total")
        summed = sum(means.values())
        return {
            "requests": len(self.waited_ms),
            "device": self.device,
            "client_ms": self.percentiles(self.waited_ms),
            "server_ms": self.percentiles([t["total"] for t in self.timings_ms]),
            "parts_mean_ms": means,
            "parts_sum_ms": round(summed, 3),
            "total_mean_ms": total,
            "explained": round(summed / total, 4) if total else None,
        }


def measure(client: Kinsight, arguments: argparse.Namespace, pictures: list[bytes]) -> Measured:
    measured = Measured()
    for number in range(-arguments.warm, arguments.requests):
        data = pictures[number % len(pictures)]
        began = time.perf_counter()
        answer = client.search(
            arguments.library,
            data,
            k=arguments.k,
            space=arguments.space,
            routing=arguments.routing,
        )
        waited = (time.perf_counter() - began) * 1e3
        if number >= 0:
            measured.waited_ms.append(waited)
            measured.timings_ms.append(answer.timings_ms)
            measured.device = answer.device
    return measured


def print_report(report: dict[str, object]) -> None:
    print(f"{report['requests']} searches on {report['device']}, one after another")
    for name, heading in (("client_ms", "waited by the client"), ("server_ms", "in the server")):
        values = report[name]
        assert isinstance(values, dict)
        print(f"\n{heading + ', ms':28}" + "".join(f"{key:>10}" for key in values))
        print(" " * 28 + "".join(f"{value:>10.2f}" for value in values.values()))
    parts = report["parts_mean_ms"]
    assert isinstance(parts, dict)
    print(f"\n{'mean of the parts, ms':28}{'':10}")
    for name, value in parts.items():
        print(f"  {name:26}{value:>10.2f}")
    print(f"  {'sum':26}{report['parts_sum_ms']:>10.2f}")
    print(f"  {'total':26}{report['total_mean_ms']:>10.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=os.environ.get("KINSIGHT_URL", "http://localhost:8000"))
    parser.add_argument("--api-key", default=os.environ.get("KINSIGHT_API_KEY"))
    parser.add_argument("--library", required=True)
    parser.add_argument("--queries", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--warm", type=int, default=30, help="searches before measuring")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--space", default="auto")
    parser.add_argument("--routing", default="adaptive")
    parser.add_argument("--p50-limit", type=float, help="ms; above it the exit code is 1")
    parser.add_argument("--p99-limit", type=float, help="ms; above it the exit code is 1")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    try:
        paths = [member.path for member in members([arguments.queries])]
        random.Random(0).shuffle(paths)
        pictures = [path.read_bytes() for path in paths[: arguments.requests]]
        with Kinsight(arguments.url, arguments.api_key) as client:
            report = measure(client, arguments, pictures).report()
    except KinsightError as error:
        print(f"{error.title}: {error.detail}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)
    waited = report["client_ms"]
    assert isinstance(waited, dict)
    limits = {"p50": arguments.p50_limit, "p99": arguments.p99_limit}
    missed = [name for name, limit in limits.items() if limit is not None and waited[name] > limit]
    for name in missed:
        print(f"{name} is {waited[name]} ms, above {limits[name]} ms", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
