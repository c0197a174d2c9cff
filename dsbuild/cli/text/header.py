"""What `train` prints before its first step."""

from dsbuild.cli.text.view import View, cut
from dsbuild.inspect.tables import count
from dsbuild.storage import safe_text
from dsbuild.train.fit.header import Header

_LABEL = 10  # columns of the first words
_ALL = View()


def header_text(header: Header, view: View = _ALL) -> str:
    """Return data, classes, model, device, schedule and run, one line each, cut to the view."""
    rows = {
        "data": _data(header),
        "classes": f"{len(header.classes):,}: {', '.join(header.classes)}",
        "model": _model(header),
        "weights": _weights(header),
        "device": header.device + (", 16 bits" if header.settings.mixed else ""),
        "schedule": _schedule(header),
        "run": header.run + (f", continues after step {header.done:,}" if header.done else ""),
    }
    lines = [f"{name:{_LABEL}}{safe_text.text(text)}" for name, text in rows.items()]
    if view.columns is not None and not view.every:
        lines = [cut(line, view.columns) for line in lines]
    return "\n".join(lines) + "\n"


def _data(header: Header) -> str:
    settings = header.settings
    scored = f", scored on {header.val_images:,} of {settings.val}" if header.val_images else ""
    return f"{header.data}: {count(header.images, 'image')} of {settings.split}{scored}"


def _model(header: Header) -> str:
    kind = "DeepLabV3+" if header.task == "segmentation" else "classifier"
    settings = header.settings
    frozen = "" if header.trained > header.parameters // 2 else f", {header.trained:,} trained"
    stride = f"output stride {settings.output_stride}"
    return f"{kind}, {settings.backbone}, {stride}, {header.parameters:,} parameters{frozen}"


def _weights(header: Header) -> str:
    settings = header.settings
    start = settings.weights or "random"
    return f"{start}, backbone only" if settings.initialize == "backbone" else start


def _schedule(header: Header) -> str:
    settings = header.settings
    if not header.steps:
        return "no step: the initial weights are kept"
    crops = f"{settings.batch:,} x {settings.crop} x {settings.crop}"
    passes = header.steps * settings.batch / header.images
    score = "scored" if header.val_images else "saved"
    every = f", {score} every {header.every:,}" if header.every < header.steps else ""
    return (
        f"{count(header.steps, 'step')} of {crops} pixels ({passes:.3g} epochs){every}; "
        f"{settings.optimiser}, {settings.schedule} rate {settings.rate:g}"
    )
