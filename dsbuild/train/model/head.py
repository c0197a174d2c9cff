"""The head of DeepLabV3+: atrous spatial pyramid pooling, a decoder, an optional gradient branch.

Source: Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation, 2018. The order of concatenation, and epsilon, are those of DeepLab's published
checkpoints.
"""

from collections.abc import Sequence
from typing import Any

from keras import layers

from dsbuild.train.model.layers import Spread
from dsbuild.train.model.places import Tensor

_EPSILON = 1e-5
_AUXILIARY = 256  # channels of the auxiliary head
_LOW = 48  # channels that the features of stride 4 are reduced to


class Head:
    """Adds the layers of a head, which share depth and options.

    `cells` tells whether features are cells of the image, see `places`; so are then those of a
    gradient branch, whose windows have an even size.
    """

    def __init__(self, depth: int, separable: bool, cells: bool = False, **batch_norm: Any) -> None:
        self.depth, self.separable, self.cells = depth, separable, cells
        self.batch_norm = {"epsilon": _EPSILON} | batch_norm

    def pyramid(self, x: Tensor, rates: Sequence[int], dropout: float, window: bool) -> Tensor:
        """Return features (b, h, w, depth) that join several rates and the whole image.

        With `window`, a 3 x 3 convolution follows, as in DeepLabV3 of torchvision and others.
        """
        whole = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_average")(x)
        whole = self.convolution(whole, self.depth, 1, name="aspp_pooling")
        branches = [
            Spread(1, name="aspp_pooling_resize")([whole, x]),  # the same value everywhere
            self.convolution(x, self.depth, 1, name="aspp_0"),
        ]
        for number, rate in enumerate(rates, 1):
            branches.append(self.window(x, f"aspp_{number}", rate))
        x = layers.Concatenate(name="aspp_join")(branches)
        x = self.convolution(x, self.depth, 1, name="aspp_projection")
        x = layers.Dropout(dropout, name="aspp_dropout")(x)
        return self.window(x, "aspp_window") if window else x

    def decoder(self, x: Tensor, low: Tensor, plane: Tensor | None) -> Tensor:
        """Return features at stride 4 from those of the pyramid, low ones, and maybe a plane.

        Those of the pyramid are already where the low ones are.
        """
        joined = [x, self.convolution(low, _LOW, 1, name="decoder_low")]
        if plane is not None:
            joined.append(self._plane(plane))
        x = layers.Concatenate(name="decoder_join")(joined)
        return self.window(self.window(x, "decoder_0"), "decoder_1")

    def _plane(self, plane: Tensor) -> Tensor:
        """Return features at stride 4 of a plane (b, h, w, 1) such as int16 Laplacians."""
        x = layers.Rescaling(1 / 255, name="gradient_scale")(plane)
        for number, filters in enumerate((16, 32)):
            x = layers.ZeroPadding2D(1, name=f"gradient_{number}_pad")(x)
            x = self.convolution(
                x, filters, 4 if self.cells else 3, 2, "valid", name=f"gradient_{number}"
            )
        return x

    def auxiliary(self, x: Tensor, classes: int) -> Tensor:
        """Return logits of features of an inner stage: a fully convolutional head.

        Its form is that of PSPNet (Zhao et al., 2017), MMSegmentation and torchvision.
        """
        x = self.convolution(x, _AUXILIARY, 3, name="auxiliary_0")
        x = layers.Dropout(0.1, name="auxiliary_dropout")(x)
        return layers.Conv2D(classes, 1, dtype="float32", name="auxiliary_logits")(x)

    def window(self, x: Tensor, name: str, rate: int = 1) -> Tensor:
        """Add a 3 x 3 convolution with normalisation and activation, separable or plain."""
        if not self.separable:
            return self.convolution(x, self.depth, 3, name=name, dilation_rate=rate)
        x = layers.DepthwiseConv2D(
            3, padding="same", dilation_rate=rate, use_bias=False, name=f"{name}_depthwise"
        )(x)
        x = self._activated(x, f"{name}_depthwise")
        return self.convolution(x, self.depth, 1, name=f"{name}_pointwise")

    def convolution(
        self,
        x: Tensor,
        filters: int,
        kernel: int,
        stride: int = 1,
        padding: str = "same",
        **options: Any,
    ) -> Tensor:
        """Add a convolution with normalisation and activation."""
        x = layers.Conv2D(filters, kernel, stride, padding, use_bias=False, **options)(x)
        return self._activated(x, options["name"])

    def _activated(self, x: Tensor, name: str) -> Tensor:
        x = layers.BatchNormalization(name=f"{name}_bn", **self.batch_norm)(x)
        return layers.ReLU(name=f"{name}_relu")(x)
