"""A model in the store: `model.safetensors` and `card.json`, never a pickle."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise

from kinsight.contracts.models import ModelCard
from kinsight.errors import UnfitWeights
from kinsight.networks import build
from kinsight.networks.base import RetrievalNetwork
from kinsight.networks.unallocated import Unallocated

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"


def weights_key(model_id: str) -> str:
    """Key of a model's weights in the store."""
    return f"models/{model_id}/{WEIGHTS_FILE}"


def card_key(model_id: str) -> str:
    """Key of a model's card in the store; written last, so a model exists when its card does."""
    return f"models/{model_id}/{CARD_FILE}"


def weights_bytes(network: RetrievalNetwork) -> bytes:
    """The network's state as a safetensors file."""
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    return serialise(state, metadata={"format": "pt"})


def save(folder: Path, network: RetrievalNetwork, card: ModelCard) -> None:
    """Writes both files of the model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(weights_bytes(network))
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2))


def load(path_to_weights: Path, card: ModelCard) -> RetrievalNetwork:
    """The network of the card with these weights, in evaluation mode on the CPU.

    Raises UnfitWeights where the file is damaged or not this card's.
    """
    try:
        state = load_file(path_to_weights)
    except (SafetensorError, OSError) as error:
        raise UnfitWeights(
            f"The weights of model {card.id} cannot be read ({error}); train it again."
        ) from error
    # Built without memory or initial values: the tensors of the file become the network's.
    with Unallocated():
        network = build(card.network, card.network_options, classes=len(card.classes))
    whole = network.state_dict()
    misfits = [
        name for name in whole if name not in state or state[name].shape != whole[name].shape
    ]
    misfits += [name for name in state if name not in whole]
    if misfits:
        raise UnfitWeights(
            f"The weights of model {card.id} are not those of its card: {', '.join(misfits[:3])}."
        )
    # Its own state dict updated, not the file's: some torchvision modules read its metadata.
    whole.update(state)
    network.load_state_dict(whole, strict=True, assign=True)
    return network.eval().requires_grad_(False)
