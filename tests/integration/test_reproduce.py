"""Every reproduction at scale smoke, on real pictures: trained, measured, reported."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kinsight.contracts.models import ModelCard
from kinsight.images.preprocess import preprocess
from kinsight.networks.model_folder import load
from trainer.reproduce import REPRODUCTIONS
from trainer.reproduce.process import main

pytestmark = pytest.mark.slow

_DATA = {
    "alexnet-figure-1": "cifar10.zip",
    "alexnet-ablations": "cifar10.zip",
    "hash-table-1": "mnist.npz",
    "hash-table-2": "cifar10.zip",
    "hash-table-3": "cifar100",
    "hash-table-4": "",  # the folder that holds all of them
    "hash-table-5": "cifar100",
}
_OTHERS = "clothing.zip"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def hundred_classes(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Laid out as CIFAR-100 is, which has a class called train: 100 classes of real pictures."""
    folder = tmp_path_factory.mktemp("sets") / "cifar100"
    names = ["train", "test", *(f"class-{n:02}" for n in range(2, 100))]
    with zipfile.ZipFile(test_data / "cifar10.zip") as archive:
        for part, count in (("train", 4), ("test", 1)):
            files = [name for name in archive.namelist() if name.startswith(f"{part}/")]
            step = len(files) // (100 * count)
            for number, name in enumerate(files[: 100 * count * step : step]):
                target = folder / part / names[number // count] / Path(name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    return folder


def _reproduce(name: str, data: Path, out: Path) -> dict[str, Any]:
    code = main([name, "--data", str(data), "--out", str(out / name), "--scale", "smoke"])
    assert code == 0
    document: dict[str, Any] = json.loads((out / name / "report.json").read_text())
    return document


def _data(name: str, test_data: Path, hundred_classes: Path) -> Path:
    file = _DATA.get(name, _OTHERS)
    return hundred_classes if file == "cifar100" else test_data / file


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_it_trains_measures_and_reports(
    name: str, test_data: Path, hundred_classes: Path, out: Path
) -> None:
    document = _reproduce(name, _data(name, test_data, hundred_classes), out)
    assert (document["name"], document["scale"], document["seed"]) == (name, "smoke", 0)
    assert document["command"].startswith(f"kinsight reproduce {name} --data")
    assert document["device"] and document["machine"] and document["versions"]["torch"]
    assert document["differences"] and document["data"] and document["findings"]
    rows = [row for table in document["tables"] for row in table["rows"]]
    assert any(value is not None for row in rows for value in row["ours"].values())
    for row in rows:
        assert any(value is not None for value in row["ours"].values()) or row["remark"], row
    if name != "alexnet-figure-1":  # whose networks are no models of the product
        assert document["models"]
    for model in document["models"]:
        assert model["network"] == "ensemble" or model["iterations"] > 0
    assert document["pictures"]
    for picture in document["pictures"]:
        with Image.open(out / name / picture["file"]) as image:
            assert image.format == "PNG"
            assert min(image.size) > 100
            assert np.asarray(image.convert("L")).std() > 1
    text = (out / name / "report.md").read_text()
    assert text.startswith(f"# {name}: ")
    for row in rows:
        for value in row["paper"].values():
            assert value is None or f"{value:,.6g}".rstrip("0").rstrip(".") in text
    assert ("not measured" in text) == any(None in row["ours"].values() for row in rows)


def test_a_second_call_takes_what_is_there(test_data: Path, out: Path) -> None:
    first = _reproduce("hash-table-1", test_data / "mnist.npz", out)
    second = _reproduce("hash-table-1", test_data / "mnist.npz", out)
    assert second["tables"] == first["tables"]
    assert [m["seconds"] for m in second["models"]] == [m["seconds"] for m in first["models"]]


def test_the_error_reported_is_the_models_own(test_data: Path, out: Path) -> None:
    document = _reproduce("hash-table-1", test_data / "mnist.npz", out)
    work = out / "hash-table-1" / "work"
    folder = work / "store" / "models" / document["models"][0]["model"]
    card = ModelCard.model_validate_json((folder / "card.json").read_bytes())
    network = load(folder / "model.safetensors", card)
    (lines,) = work.glob("data/*/test.ndjson")
    wrong = total = 0
    for line in lines.read_text().splitlines():
        image = json.loads(line)
        with Image.open(io.BytesIO((work / "store" / image["key"]).read_bytes())) as picture:
            pixels = preprocess(picture.convert("RGB"), card.preprocessing)
        mean, std = np.array(card.preprocessing.mean), np.array(card.preprocessing.std)
        x = torch.from_numpy(((pixels / 255 - mean) / std).astype(np.float32))
        with torch.inference_mode():
            predicted = network(x.permute(2, 0, 1)[None]).logits.argmax().item()
        wrong += card.classes[int(predicted)] != image["label"]
        total += 1
    assert total == 30
    (table,) = document["tables"]
    assert table["rows"][0]["ours"]["error"] == pytest.approx(100 * wrong / total)


def test_a_hundred_classes_with_128_bits(hundred_classes: Path, out: Path) -> None:
    document = _reproduce("hash-table-3", hundred_classes, out)
    rows = document["tables"][0]["rows"]
    papers = [row["paper"].get("error") for row in rows]
    # Ours, which the paper does not have, comes last.
    assert papers == [32.62, 31.75, 32.34, 29.15, None]
    assert all({"error", "error_crops"} <= row["ours"].keys() for row in rows)
    trained = [(model["network"], model["options"]) for model in document["models"]]
    assert all(one not in trained[:i] for i, one in enumerate(trained))
    for model in document["models"]:
        assert model["options"]["hash_bits"] == 128
        folder = out / "hash-table-3" / "work" / "store" / "models" / model["model"]
        card = ModelCard.model_validate_json((folder / "card.json").read_bytes())
        assert (len(card.classes), card.code_bits) == (100, 128)
        assert "train" in card.classes
