"""Binary codes: learned by a hash layer, or projected from the feature.

Both modules map a feature (B, d) to activations (B, n) in (0, 1); bit = activation >= 0.5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinsight.networks.precision import full_precision

# Rows beyond this many hardly move a covariance, and its cost grows with them.
_FITTING_ROWS = 20_000


class HashLayer(nn.Module):
    """a = σ(W f + b), read by the classifier: codes and classes are learned together.

    Lin et al. 2015 (Deep learning of binary hash codes), as the hash paper §2.4 uses it.
    """

    def __init__(self, feature_dimensions: int, bits: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_dimensions, bits)
        nn.init.xavier_normal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature_Bd: Tensor) -> Tensor:
        activations: Tensor = torch.sigmoid(self.linear(feature_Bd).float())
        return activations


class Projection(nn.Module):
    """a = σ(W (f − μ)) with W of iterative quantisation; buffers, so it has no parameters.

    With `cosine` the feature is scaled to length 1 first, as the distance does.
    """

    mean: Tensor
    weight: Tensor

    def __init__(self, feature_dimensions: int, bits: int, *, cosine: bool = False) -> None:
        super().__init__()
        self.cosine = cosine
        self.register_buffer("mean", torch.zeros(feature_dimensions))
        self.register_buffer("weight", torch.zeros(bits, feature_dimensions))

    def forward(self, feature_Bd: Tensor) -> Tensor:
        with full_precision(feature_Bd.device):
            activations: Tensor = torch.sigmoid(
                (self._scaled(feature_Bd.float()) - self.mean) @ self.weight.T
            )
        return activations

    @torch.no_grad()
    def fit(self, features_Nd: Tensor, *, seed: int, iterations: int = 50) -> None:
        """Iterative quantisation (Gong & Lazebnik 2011): PCA, then the rotation R that brings
        the projected features V nearest to their signs, by turns B = sign(VR) and the
        orthogonal Procrustes solution for R.

        features_Nd: training features; a seeded sample of 20,000 rows is used of more.
        """
        generator = torch.Generator().manual_seed(seed)
        features = features_Nd.detach().to("cpu", torch.float32)
        rows = torch.randperm(len(features), generator=generator)[:_FITTING_ROWS]
        features = self._scaled(features[rows])
        mean = features.mean(0)
        bits = self.weight.shape[0]
        components_dn = _principal_components(features - mean, bits, generator)
        projected = (features - mean) @ components_dn
        rotation = torch.linalg.qr(torch.randn(bits, bits, generator=generator)).Q
        for _ in range(iterations):
            signs = torch.where(projected @ rotation >= 0, 1.0, -1.0)
            left, _, right = torch.linalg.svd(projected.T @ signs)
            rotation = left @ right
        self.mean.copy_(mean)
        self.weight.copy_((components_dn @ rotation).T)

    def _scaled(self, features: Tensor) -> Tensor:
        return nn.functional.normalize(features, dim=1) if self.cosine else features


def _principal_components(centred_Nd: Tensor, bits: int, generator: torch.Generator) -> Tensor:
    """(d, bits) orthonormal columns spanning the directions of largest variance.

    Randomised subspace iteration (Halko et al. 2011, algorithm 4.4): a 4096-d feature needs no
    decomposition of its whole covariance. Columns the data leave free are arbitrary.
    """
    dimensions = centred_Nd.shape[1]
    width = min(dimensions, bits + 16)
    basis = torch.linalg.qr(torch.randn(dimensions, width, generator=generator)).Q
    for _ in range(6):
        basis = torch.linalg.qr(centred_Nd.T @ (centred_Nd @ basis)).Q
    values, vectors = torch.linalg.eigh((centred_Nd @ basis).T @ (centred_Nd @ basis))
    components: Tensor = basis @ vectors[:, values.argsort(descending=True)[:bits]]
    return components
