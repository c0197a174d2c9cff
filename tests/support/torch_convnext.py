"""ConvNeXt in PyTorch with the names of torchvision's, and few channels."""

from functools import partial

import torch
from torch import nn

_Norm = partial(nn.LayerNorm, eps=1e-6)


class Norm2d(nn.LayerNorm):
    """A normalisation over the channels of (b, c, h, w)."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permute(nn.Module):
    """Reorder axes."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(*self.axes)


class Block(nn.Module):
    """torchvision's CNBlock."""

    def __init__(self, channels):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            Permute(0, 2, 3, 1),
            _Norm(channels),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x):
        return x + self.layer_scale * self.block(x)


class ConvNeXt(nn.Module):
    """torchvision's ConvNeXt; returns the outputs of its parts by the names of our layers."""

    def __init__(self, blocks, channels):
        super().__init__()
        norm = partial(Norm2d, eps=1e-6)
        parts = [nn.Sequential(nn.Conv2d(3, channels[0], 4, 4), norm(channels[0]))]
        names = ["stem_layernorm"]
        for stage, (count, depth) in enumerate(zip(blocks, channels, strict=True)):
            if stage:
                before = channels[stage - 1]
                parts.append(nn.Sequential(norm(before), nn.Conv2d(before, depth, 2, 2)))
                names.append(f"downsampling_conv_{stage - 1}")
            parts.append(nn.Sequential(*(Block(depth) for _ in range(count))))
            names.append(f"stage_{stage}_block_{count - 1}_add")
        self.features, self._names = nn.Sequential(*parts), names
        self.classifier = nn.Sequential(norm(depth), nn.Flatten(1), nn.Linear(depth, 10))

    def forward(self, x):
        found = {}
        for name, part in zip(self._names, self.features, strict=True):
            found[name] = x = part(x)
        return found | {"layernorm": self.classifier[0](x)}


def drawn(module, seed=0):
    """Draw weights that keep the size of signals; return the module, ready to predict."""
    generator = torch.Generator().manual_seed(seed)
    for name, values in module.state_dict().items():
        found = torch.randn(values.shape, generator=generator)
        wide = values.ndim in (2, 4)
        ones = name.endswith(("weight", "layer_scale"))
        values.copy_(found / values[0].numel() ** 0.5 if wide else 0.2 * found + ones)
    return module.eval()
