"""Training the head alone against training the whole network: time and accuracy.

python benchmarks/head_against_fine_tune.py DATA --network torchvision/mobilenet_v2 \
    --weights mobilenet_v2.safetensors [--per-class 50] [--fine-tune epochs=10] [--head epochs=40]

DATA is a folder of class folders, or a zip or tar of one. Each recipe runs in a training process
of its own, one after the other, on the same pictures, split and weights. The time counts from
where the pictures are read to where the model is stored: features, training, calibration. The
accuracy is that on the held-out tenth. The mark is a thirtieth of the time at one point less.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from kinsight.cli.train_options import read_options
from kinsight.contracts.models import ModelCard, TrainRequest
from kinsight.errors import KinsightError
from trainer.reproduce.prepared import Most, Prepared, prepare
from trainer.reproduce.sources import open_source
from trainer.training.spec import Spec
from trainer.training.store_access import StoreAccess

_FASTER = 30
_POINTS_LOST = 1.0


class Result(NamedTuple):
    """phases: seconds in each, from the process's own events."""

    recipe: str
    seconds: float
    phases: dict[str, float]
    accuracy: float
    iterations: int


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(recipe: str, options: dict[str, Any], data: Prepared, asked: TrainRequest) -> Result:
    work = data.folder.parent.parent
    request = asked.model_copy(update={"recipe": recipe, "recipe_options": options})
    spec = Spec(
        job_id=recipe,
        model_id=f"{recipe}-model",
        request=request,
        store_url=f"file://{work / 'store'}",
        training_set=data.training_set,
        scratch=work / "scratch" / recipe,
    )
    path = work / f"{recipe}.json"
    path.write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "trainer.training.process", str(path)]
    note(f"{recipe} …")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        card, phases = follow(process.stdout)
    seconds = sum(seconds for phase, seconds in phases.items() if phase != "reading")
    return Result(recipe, seconds, phases, card.accuracy.validation or 0.0, card.iterations)


def follow(events: Any) -> tuple[ModelCard, dict[str, float]]:
    """The card of what was trained, and the seconds of each phase; raises KinsightError."""
    phases: dict[str, float] = {}
    phase, since = "reading", time.monotonic()
    for line in events:
        event = json.loads(line)
        now = time.monotonic()
        phases[phase] = phases.get(phase, 0.0) + now - since
        since = now
        if event["event"] == "progress":
            phase = event["progress"]["phase"]
        elif event["event"] == "done":
            return ModelCard(**event["card"]), phases
        elif event["event"] == "failed":
            raise KinsightError(event["problem"]["detail"])
    raise KinsightError("The training process ended without a word.")


def table(data: Prepared, results: list[Result]) -> None:
    head, whole = results
    print(f"{data.title}: {data.train:,} pictures in {len(data.classes)} classes")
    print(f"{'recipe':<10} {'seconds':>8} {'features':>9} {'training':>9} {'validation':>11}")
    for result in results:
        print(
            f"{result.recipe:<10} {result.seconds:>8.1f} {result.phases.get('features', 0):>9.1f} "
            f"{result.phases.get('training', 0):>9.1f} {result.accuracy:>11.2%}"
        )
    faster, lost = whole.seconds / head.seconds, 100 * (whole.accuracy - head.accuracy)
    print(
        f"head takes 1/{faster:.1f} of the time (mark: 1/{_FASTER}) and is {lost:+.2f} points "
        f"behind (mark: at most {_POINTS_LOST:.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", default="torchvision/mobilenet_v2")
    parser.add_argument("--network-option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--weights", type=Path, help="a safetensors file; else the published ones")
    parser.add_argument("--per-class", type=int, help="at most so many pictures of each class")
    parser.add_argument("--head", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--fine-tune", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # The test part is not used; there must be one.
        most = Most(train=arguments.per_class, test=1)
        try:
            data = prepare(
                open_source(arguments.data), most, seed=arguments.seed, work=work, say=note
            )
            weights = "default"
            if arguments.weights is not None:
                with StoreAccess(f"file://{work / 'store'}") as store:
                    weights = store.add_weights(arguments.weights.read_bytes())
            request = TrainRequest(
                library=data.name,
                network=arguments.network,
                network_options=read_options([], arguments.network_option, []).network,
                weights=weights,
                min_images_per_class=2,
                seed=arguments.seed,
            )
            results = [
                run(recipe, read_options([], [], given).recipe, data, request)
                for recipe, given in (("head", arguments.head), ("fine-tune", arguments.fine_tune))
            ]
        except KinsightError as error:
            sys.exit(f"{error.title}: {error.detail}")
    if arguments.json:
        print(json.dumps([result._asdict() for result in results]))
    else:
        table(data, results)


if __name__ == "__main__":
    main()
