"""What AlexNet can be asked for: the switches of its paper and of the hash paper."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from kinsight.networks.options import NetworkOptions, contradiction

# Up to this side the paper's first layer (11x11, stride 4) would leave nothing to look at.
SMALL_INPUT = 64
_MAXOUT_DEFAULTS = {"maxout_pieces": 2, "fc_width": 2048}


class AlexNetOptions(NetworkOptions):
    """Defaults are the network of Krizhevsky et al. 2012, with a hash layer of 64 bits."""

    towers: int = Field(
        default=2,
        ge=1,
        le=2,
        description="2: conv2, conv4, conv5 and the sixth convolution see half of the channels "
        "each, as on the paper's two GPUs (§3.2); 1: they see all.",
    )
    channels: Literal["2012", "2014"] = Field(
        default="2012",
        description="Maps of the convolutions. 2012: 96, 256, 384, 384, 256 (§3.5); 2014: 64, 192, "
        "384, 256, 256 as in Krizhevsky 2014 (One weird trick) and in torchvision's AlexNet, whose "
        "weights fit with towers=1 and response_norm=false.",
    )
    response_norm: bool = Field(
        default=True,
        description="Response normalisation after conv1 and conv2 (§3.3). Where it is not given: "
        "on, and off beside batch normalisation, which leaves it nothing to even out.",
    )
    pooling: Literal["overlapping", "plain", "max-average"] = Field(
        default="overlapping",
        description="overlapping: maximum of 3x3 windows, stride 2 (§3.4); plain: of 2x2, stride "
        "2; max-average: maximum and mean of 3x3 windows, stride 2, added (hash paper §2.3).",
    )
    activation: Literal["relu", "tanh", "maxout"] = Field(
        default="relu",
        description="Non-linearity of all layers; maxout is that of the two hidden fully connected "
        "layers, and the convolutions stay with relu (hash paper §2.2).",
    )
    maxout_pieces: int | None = Field(
        default=None,
        ge=2,
        le=8,
        description="Linear pieces that each maxout unit is the maximum of: 2 where it is not "
        "given. Only with activation=maxout.",
    )
    norm: Literal["none", "batch"] = Field(
        default="none",
        description="batch: batch normalisation between each convolution and its non-linearity "
        "(hash paper §2.1).",
    )
    sixth_convolution: bool = Field(
        default=False,
        description="One more, 256 maps of 3x3, after the last pooling (§6; its size is not told "
        "there, this is conv5's).",
    )
    initialisation: Literal["he", "paper"] = Field(
        default="he",
        description="he: deviations that keep the signal's scale from layer to layer (He et al. "
        "2015), biases 0; paper: N(0, 0.01), biases 1 in conv2, conv4, conv5 and the hidden fully "
        "connected layers, else 0 (§5).",
    )
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="On the two hidden fully connected layers (§4.2)."
    )
    fc_width: int = Field(
        default=4096,
        ge=8,
        le=8192,
        description="Units of each hidden fully connected layer. Where it is not given: 4096, and "
        "2048 with activation=maxout (hash paper §2.2).",
    )
    width: float = Field(
        default=1.0, ge=0.05, le=4, description="Factor on the channels of all convolutions."
    )
    input_size: int = Field(
        default=224,
        ge=32,
        le=512,
        description="Side of the input in pixels. Up to 64 the first layer is 5x5 with stride 1 "
        "instead of 11x11 with stride 4.",
    )
    framing: Literal["auto", "crop", "squash"] = Field(
        default="auto",
        description="crop: the centre square of the picture; squash: the whole picture pressed "
        "into the square; auto: squash up to an input size of 64, else crop.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_depends(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Defaults that follow from other options, so that the card says what was built."""
        filled: dict[str, Any] = {}
        if given.get("activation") == "maxout":
            filled |= _MAXOUT_DEFAULTS
        if given.get("norm") == "batch":
            filled["response_norm"] = False
        unset = ("maxout_pieces", None)
        return filled | {name: value for name, value in given.items() if (name, value) != unset}

    @model_validator(mode="after")
    def _check_together(self) -> AlexNetOptions:
        if self.maxout_pieces is not None and self.activation != "maxout":
            raise contradiction(
                "maxout_pieces",
                f"the activation is {self.activation}, which has no pieces; leave it out, or set "
                "activation=maxout",
            )
        return self

    @property
    def small_stem(self) -> bool:
        return self.input_size <= SMALL_INPUT
