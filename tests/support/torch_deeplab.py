"""DeepLab in PyTorch as others wrote it: modules with the names of each origin.

They have DEPTHS and HEAD channels, an eighth of those of the origins, unless these are changed.
"""

from functools import partial

import torch
from torch import nn

DEPTHS = (8, 16, 32, 64)
HEAD = 32
CLASSES = 3


def window(inputs, outputs, kernel=3, dilation=1, stride=1):
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)


def normalised(inputs, outputs, kernel=1, dilation=1):
    layers = window(inputs, outputs, kernel, dilation), nn.BatchNorm2d(outputs), nn.ReLU()
    return nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """A block of torchvision's ResNet: its stride is in the 3 x 3 convolution."""

    def __init__(self, inputs, filters, stride, dilation):
        super().__init__()
        self.conv1, self.bn1 = window(inputs, filters, 1), nn.BatchNorm2d(filters)
        self.conv2 = window(filters, filters, 3, dilation, stride)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv3, self.bn3 = window(filters, 4 * filters, 1), nn.BatchNorm2d(4 * filters)
        self.downsample = None
        if stride > 1 or inputs != 4 * filters:
            shortcut = window(inputs, 4 * filters, 1, stride=stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * filters))

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    """ResNet-50 at output stride 16.

    `first` dilates the convolution that loses its stride; `grid` has factors for the last blocks.
    """

    def __init__(self, first=False, grid=(1, 1, 1), blocks=(3, 4, 6, 3)):
        super().__init__()
        inputs = DEPTHS[0]
        self.conv1 = nn.Conv2d(3, inputs, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        for stage, (count, filters) in enumerate(zip(blocks, DEPTHS, strict=True), 1):
            layers = []
            for number in range(count):
                stride = 2 if number == 0 and stage in (2, 3) else 1
                dilation = 2 * grid[number] if stage == 4 and (number or first) else 1
                layers.append(Bottleneck(inputs, filters, stride, dilation))
                inputs = 4 * filters
            setattr(self, f"layer{stage}", nn.Sequential(*layers))

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        found = {}
        for stage in range(1, 5):
            x = found[f"layer{stage}"] = getattr(self, f"layer{stage}")(x)
        return found


class Pooling(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(nn.AdaptiveAvgPool2d(1), *normalised(inputs, outputs))

    def forward(self, x):
        return super().forward(x).expand(-1, -1, *x.shape[2:])


class Pyramid(nn.Module):
    """The pyramid of torchvision and of those that followed it; the pooled branch is last."""

    def __init__(self, rates=(6, 12, 18)):
        super().__init__()
        inputs, depth = 4 * DEPTHS[-1], HEAD
        branches = [normalised(inputs, depth), *(normalised(inputs, depth, 3, r) for r in rates)]
        self.convs = nn.ModuleList([*branches, Pooling(inputs, depth)])
        self.project = normalised((len(rates) + 2) * depth, depth)

    def forward(self, x):
        return self.project(torch.cat([branch(x) for branch in self.convs], 1))


def head(inputs=None):
    """Return a 3 x 3 convolution and the last layer, which come after the pyramid."""
    return [*normalised(inputs or HEAD, HEAD, 3), nn.Conv2d(HEAD, CLASSES, 1)]


class Torchvision(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ResNet()
        self.classifier = nn.Sequential(Pyramid(), *head())
        self.aux_classifier = nn.Sequential(
            *normalised(4 * DEPTHS[2], HEAD, 3), nn.Dropout(0.1), nn.Conv2d(HEAD, CLASSES, 1)
        )

    def forward(self, x):
        found = self.backbone(x)
        auxiliary = self.aux_classifier[:3](found["layer3"])
        return found | {"pyramid": self.classifier[0](found["layer4"]), "auxiliary": auxiliary}


class VainFPlus(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ResNet()
        self.classifier = nn.Module()
        self.classifier.project = normalised(4 * DEPTHS[0], 48)
        self.classifier.aspp = Pyramid()
        self.classifier.classifier = nn.Sequential(*head(HEAD + 48))

    def forward(self, x):
        found = self.backbone(x)
        parts = {"low": self.classifier.project(found["layer1"])}
        return found | parts | {"pyramid": self.classifier.aspp(found["layer4"])}


class VainF(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ResNet()
        self.classifier = nn.Module()
        self.classifier.classifier = nn.Sequential(Pyramid(), *head())

    def forward(self, x):
        found = self.backbone(x)
        return found | {"pyramid": self.classifier.classifier[0](found["layer4"])}


class Smp(nn.Module):
    """segmentation_models_pytorch's DeepLabV3."""

    def __init__(self):
        super().__init__()
        self.encoder = ResNet(first=True)
        self.decoder = nn.Module()
        self.decoder.aspp, self.decoder.conv = Pyramid(), window(HEAD, HEAD)
        self.decoder.bn = nn.BatchNorm2d(HEAD)
        self.segmentation_head = nn.Sequential(nn.Conv2d(HEAD, CLASSES, 1))

    def forward(self, x):
        found = self.encoder(x)
        return found | {"pyramid": self.decoder.aspp(found["layer4"])}


class SmpPlus(nn.Module):
    """segmentation_models_pytorch's DeepLabV3Plus, whose head has no counterpart here."""

    def __init__(self):
        super().__init__()
        self.encoder = ResNet(first=True)
        self.decoder = nn.Module()
        self.decoder.aspp = nn.Sequential(Pyramid())
        self.segmentation_head = nn.Sequential(nn.Conv2d(HEAD, CLASSES, 1))

    def forward(self, x):
        return self.encoder(x)


class Jfzhang95(nn.Module):
    """jfzhang95's DeepLab, the whole of which has counterparts here."""

    def __init__(self, dropout=True):
        super().__init__()
        self.backbone = ResNet(first=True, grid=(1, 2, 4))
        features = 4 * DEPTHS[-1]
        self.aspp, self.decoder = nn.Module(), nn.Module()
        for number, rate in enumerate((1, 6, 12, 18), 1):
            branch = nn.Module()
            branch.atrous_conv = window(features, HEAD, 1 if number == 1 else 3, rate)
            branch.bn = nn.BatchNorm2d(HEAD)
            setattr(self.aspp, f"aspp{number}", branch)
        self.aspp.global_avg_pool = Pooling(features, HEAD)
        self.aspp.conv1, self.aspp.bn1 = window(5 * HEAD, HEAD, 1), nn.BatchNorm2d(HEAD)
        self.decoder.conv1, self.decoder.bn1 = window(4 * DEPTHS[0], 48, 1), nn.BatchNorm2d(48)
        drop = [nn.Dropout(0.5)] if dropout else []
        first, second = normalised(HEAD + 48, HEAD, 3), normalised(HEAD, HEAD, 3)
        last = nn.Conv2d(HEAD, CLASSES, 1)
        self.decoder.last_conv = nn.Sequential(*first, *drop, *second, *drop, last)

    def forward(self, x):
        found = self.backbone(x)
        high = found["layer4"]
        branches = [getattr(self.aspp, f"aspp{number}") for number in (1, 2, 3, 4)]
        joined = [branch.bn(branch.atrous_conv(high)).relu() for branch in branches]
        joined.append(self.aspp.global_avg_pool(high))
        found["pyramid"] = self.aspp.bn1(self.aspp.conv1(torch.cat(joined, 1))).relu()
        found["low"] = self.decoder.bn1(self.decoder.conv1(found["layer1"])).relu()
        resized = partial(nn.functional.interpolate, mode="bilinear", align_corners=True)
        high = resized(found["pyramid"], found["low"].shape[2:])
        coarse = self.decoder.last_conv(torch.cat([high, found["low"]], 1))
        return found | {"logits": resized(coarse, x.shape[2:])}


class Classifier(ResNet):
    """torchvision's ResNet with its last layer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4 * DEPTHS[-1], 10)


def drawn(module, seed=0):
    """Draw weights that keep the size of signals; return the module, ready to predict."""
    generator = torch.Generator().manual_seed(seed)
    for name, values in module.state_dict().items():
        found = torch.randn(values.shape, generator=generator)
        if values.ndim == 4:
            found *= (2 / values[0].numel()) ** 0.5
        elif name.endswith(("running_var", "weight")):
            found = 1 + 0.2 * found.tanh()
        else:
            found *= 0.1
        if values.dtype.is_floating_point:
            values.copy_(found)
    return module.eval()
