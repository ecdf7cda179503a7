"""The trained parts of the pocket space's image and text towers, and the towers as they are exported.

A joint vector is ``[scene | sqrt(b) * concept]`` at unit length, so that one dot product is the weighted sum of both cosines.
"""

from __future__ import annotations

import torch
from backbones import Text, Vision
from torch import Tensor, nn
from torch.nn import functional

SCENE, CONCEPT = 384, 384
"""Dimensions of the two halves."""

WEIGHT = 0.6
"""b, the weight of the concept half."""

LIKELIEST = 30
"""ImageNet classes that make up a picture's concept."""


class Standardise(nn.Module):
    """(x - mean) / deviation with statistics of the training set, (n, d) -> (n, d)."""

    def __init__(self, sample: Tensor) -> None:
        """``sample`` (m, d) gives the statistics."""
        super().__init__()
        self.register_buffer("mean", sample.mean(dim=0))
        self.register_buffer("deviation", sample.std(dim=0) + 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Standardise rows."""
        return (x - self.mean) / self.deviation


class Pool(nn.Module):
    """Attention pooling with learned queries, eight heads: token states (n, t, d) -> (n, width)."""

    def __init__(self, features: int, width: int, heads: int = 8) -> None:
        super().__init__()
        self.attend, self.value, self.heads = nn.Linear(features, heads), nn.Linear(features, width), heads

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """``mask`` (n, t) is 0 where there is only padding."""
        attention = self.attend(states).masked_fill(mask[..., None] == 0, -1e4).softmax(dim=1)
        values = self.value(states).unflatten(-1, (self.heads, -1))
        return (attention[..., None] * values).sum(dim=1).flatten(1)


class Head(nn.Module):
    """A linear map plus a one-layer perceptron, (n, inputs) -> unit vectors (n, outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Dropout(dropout / 2), nn.Linear(inputs, outputs))
        self.net = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(inputs, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Project and normalise."""
        return functional.normalize(self.skip(x) + self.net(x), dim=1)


class SceneImage(nn.Module):
    """Mean image features (n, 1280) -> scene vectors (n, 512)."""

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.standardise, self.head = Standardise(sample), Head(1280, 1536, 512, 0.6)

    def forward(self, mean: Tensor) -> Tensor:
        """Standardise and project."""
        return self.head(self.standardise(mean))


class SceneText(nn.Module):
    """Token states and their mean -> scene vectors (n, 512)."""

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.standardise, self.pool, self.head = Standardise(sample), Pool(384, 512), Head(896, 1024, 512, 0.2)

    def forward(self, states: Tensor, mask: Tensor, mean: Tensor) -> Tensor:
        """``states`` (n, t, 384), ``mask`` (n, t), ``mean`` (n, 384)."""
        x = self.standardise(mean)
        if self.training:
            x = x + 0.15 * torch.randn_like(x)  # captions are few: keep the head from learning them by heart
        return self.head(torch.cat([x, self.pool(states, mask)], dim=1))


class Ensemble(nn.Module):
    """Several scene heads side by side, brought back to 384 dimensions by the singular vectors of the training set's vectors.

    The projection is orthogonal, so that dot products of concatenations, which are the mean of the heads' cosines, survive but for
    what lies outside the 384 strongest directions.
    """

    def __init__(self, heads: list[nn.Module], projection: Tensor) -> None:
        """``projection`` (512 x heads, 384)."""
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.register_buffer("projection", projection)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Unit vectors (n, 384)."""
        joined = torch.cat([head(*inputs) for head in self.heads], dim=1)
        return functional.normalize(joined @ self.projection, dim=1)


def join(scene: Tensor, concept: Tensor) -> Tensor:
    """Halves of unit length (n, 384) -> joint vectors of unit length (n, 768)."""
    return torch.cat([scene, concept * WEIGHT**0.5], dim=1) / (1.0 + WEIGHT) ** 0.5


class ImageTower(nn.Module):
    """uint8 pixels (n, 260, 260, 3) -> joint vectors (n, 768).

    The concept half is a convex combination of class names' embeddings (ConSE, Norouzi et al., arXiv 1312.5650).
    """

    def __init__(self, vision: Vision, scene: nn.Module, classes: Tensor) -> None:
        """``classes`` (1000, 384): MiniLM's vectors of "a photo of a {class}", at unit length."""
        super().__init__()
        self.vision, self.scene = vision, scene
        self.register_buffer("classes", classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures."""
        grid, logits = self.vision(pixels)
        likeliest, which = logits.topk(LIKELIEST, dim=1)
        concept = (likeliest.softmax(dim=1)[..., None] * self.classes[which]).sum(dim=1)
        return join(self.scene(grid.mean(dim=1)), functional.normalize(concept, dim=1))


class TextTower(nn.Module):
    """Word pieces int64 (n, t) with their mask (n, t) -> joint vectors (n, 768)."""

    def __init__(self, text: Text, scene: nn.Module) -> None:
        super().__init__()
        self.text, self.scene = text, scene

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode texts."""
        states = self.text(ids, mask)
        weights = mask.float()[..., None]
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return join(self.scene(states, mask, mean), functional.normalize(mean, dim=1))
