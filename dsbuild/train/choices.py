"""The names that settings choose from; registries of the model have the same, and need Keras."""

STRIDES = (8, 16, 32)
BACKBONES = (
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_large_960",
    "mobilenet_v3_small",
    "convnext_tiny",
    "convnext_small",
    "convnext_base",
    "efficientnet_v2_b0",
    "efficientnet_v2_b3",
    "efficientnet_v2_s",
    "resnet50",
    "resnet101",
    "resnet50_v1_5",
    "resnet101_v1_5",
    "resnet50_beta",
    "resnet101_beta",
    "tiny",
    "xception",
    "xception_41",
    "xception_65",
    "xception_71",
)
# Those with windows of even size, whose features are cells of an image; see `model.places`.
CELLS = ("convnext_tiny", "convnext_small", "convnext_base")
PIXELS = ("tf", "torch", "caffe", "128", "unit", "raw")
OPTIMISERS = ("sgd", "adam", "adamw")
SCHEDULES = ("poly", "cosine", "constant", "plateau")
