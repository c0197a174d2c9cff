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

    def __init__(self, rates=(6, 12, 18), inputs=None):
        super().__init__()
        inputs, depth = inputs or 4 * DEPTHS[-1], HEAD
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


def mobile(inputs, outputs, kernel=1, stride=1, dilation=1, activation=nn.ReLU, eps=1e-5, groups=1):
    """Return torchvision's Conv2dNormActivation."""
    padding = dilation * (kernel // 2)
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=eps),
        *([activation()] if activation else []),
    ]
    return nn.Sequential(*layers)


class Squeeze(nn.Module):
    """torchvision's SqueezeExcitation."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        whole = x.mean((2, 3), keepdim=True)
        return nn.functional.hardsigmoid(self.fc2(self.fc1(whole).relu())) * x


class Inverted(nn.Module):
    """A block of MobileNetV3."""

    def __init__(self, inputs, kernel, middle, outputs, squeezed, activation, stride, dilation):
        super().__init__()
        norm = {"eps": 1e-3}
        parts = [mobile(inputs, middle, activation=activation, **norm)] * (middle != inputs)
        parts.append(mobile(middle, middle, kernel, stride, dilation, activation, 1e-3, middle))
        if squeezed:
            parts.append(Squeeze(middle, squeezed))
        self.block = nn.Sequential(*parts, mobile(middle, outputs, activation=None, **norm))
        self.same = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.block(x)
        return x + y if self.same else y


_LARGE = (  # kernel, middle, output and squeezed channels, hard swish, stride, dilation
    (3, 16, 16, 0, 0, 1, 1),
    (3, 64, 24, 0, 0, 2, 1),
    (3, 72, 24, 0, 0, 1, 1),
    (5, 72, 40, 24, 0, 2, 1),
    (5, 120, 40, 32, 0, 1, 1),
    (5, 120, 40, 32, 0, 1, 1),
    (3, 240, 80, 0, 1, 2, 1),
    (3, 200, 80, 0, 1, 1, 1),
    (3, 184, 80, 0, 1, 1, 1),
    (3, 184, 80, 0, 1, 1, 1),
    (3, 480, 112, 120, 1, 1, 1),
    (3, 672, 112, 168, 1, 1, 1),
    (5, 672, 160, 168, 1, 1, 2),
    (5, 960, 160, 240, 1, 1, 2),
    (5, 960, 160, 240, 1, 1, 2),
)


class MobileNetV3(nn.Module):
    """torchvision's deeplabv3_mobilenet_v3_large: the stride of the last stage is a dilation."""

    def __init__(self):
        super().__init__()
        features = [mobile(3, 16, 3, 2, activation=nn.Hardswish, eps=1e-3)]
        inputs = 16
        for kernel, middle, outputs, squeezed, hard, stride, dilation in _LARGE:
            kind = nn.Hardswish if hard else nn.ReLU
            block = inputs, kernel, middle, outputs, squeezed, kind, stride, dilation
            features.append(Inverted(*block))
            inputs = outputs
        features.append(mobile(160, 960, activation=nn.Hardswish, eps=1e-3))
        self.backbone = nn.Sequential(*features)
        pyramid = Pyramid((12, 24, 36), 960)
        self.classifier = nn.Sequential(pyramid, *head())
        self.aux_classifier = nn.Sequential(*normalised(40, 10, 3), nn.Dropout(0.1))
        self.aux_classifier.append(nn.Conv2d(10, CLASSES, 1))

    def forward(self, x):
        found = {}
        for number, block in enumerate(self.backbone):
            x = block(x)
            if 1 < number < 16:
                found[f"backbone_expanded_conv_{number - 1}_project_bn"] = x
        for number in (3, 5, 6, 8, 9, 10, 12, 14, 15):  # which end with a sum
            name = f"backbone_expanded_conv_{number - 1}"
            found[f"{name}_add"] = found.pop(f"{name}_project_bn")
        found["aspp_projection_relu"] = pyramid = self.classifier[0](x)
        return found | {"logits": self.classifier[1:](pyramid)}


class Narrowing(nn.Module):
    """A block of MobileNetV2."""

    def __init__(self, inputs, outputs, stride, factor, dilation):
        super().__init__()
        middle = factor * inputs
        parts = [mobile(inputs, middle, activation=nn.ReLU6)] * (factor > 1)
        parts.append(mobile(middle, middle, 3, stride, dilation, nn.ReLU6, groups=middle))
        self.conv = nn.Sequential(*parts, window(middle, outputs, 1), nn.BatchNorm2d(outputs))
        self.same = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


class MobileNetV2(nn.Module):
    """segmentation_models_pytorch's DeepLabV3Plus with a MobileNetV2: its encoder, at stride 16."""

    def __init__(self):
        super().__init__()
        features, inputs = [mobile(3, 32, 3, 2, activation=nn.ReLU6)], 32
        for factor, outputs, count, stride, dilation in (
            (1, 16, 1, 1, 1),
            (6, 24, 2, 2, 1),
            (6, 32, 3, 2, 1),
            (6, 64, 4, 2, 1),
            (6, 96, 3, 1, 1),
            (6, 160, 3, 1, 2),
            (6, 320, 1, 1, 2),
        ):
            for number in range(count):
                step = 1 if number else stride
                features.append(Narrowing(inputs, outputs, step, factor, dilation))
                inputs = outputs
        features.append(mobile(320, 1280, activation=nn.ReLU6))
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.features = nn.Sequential(*features)
        self.decoder.aspp = nn.Sequential(Pyramid((12, 24, 36), 1280))

    def forward(self, x):
        found = {}
        for number, block in enumerate(self.encoder.features[:18]):
            x = block(x)
            if number > 1:
                end = "add" if block.same else "project_BN"
                found[f"backbone_block_{number - 1}_{end}"] = x
        return found


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
