"""Train DeepLabV3+ on a folder of dsbuild with a plain PyTorch loop.

    python examples/torch_train.py tfrecord --steps 200

The model is Keras' on PyTorch, and so a `torch.nn.Module`; replace it with any other.
"""

import argparse
import itertools
import os
from collections.abc import Iterator

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Keras imports TensorFlow if it is installed

import torch
from torch.nn import functional
from torch.utils.data import DataLoader

import dsbuild
from dsbuild.reader import Reader
from dsbuild.train import model


class Window:
    """Crops a random window from image and label, pads them if they are smaller, and flips."""

    def __init__(self, side: int, ignore: int):
        self.side, self.ignore = side, ignore

    def __call__(self, image: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return image (3, side, side) and label (side, side)."""
        below, right = (max(self.side - length, 0) for length in label.shape)
        image = functional.pad(image, (0, right, 0, below), value=127)
        label = functional.pad(label, (0, right, 0, below), value=self.ignore)
        top, left = (int(torch.randint(n - self.side + 1, ())) for n in label.shape)
        seen = slice(top, top + self.side), slice(left, left + self.side)
        image, label = image[:, *seen], label[seen]
        return (image.flip(-1), label.flip(-1)) if torch.rand(()) < 0.5 else (image, label)


def mean_iou(network: torch.nn.Module, samples: Reader, device: str) -> float:
    """Return the mean IoU over samples at their own sizes; ignored pixels do not count."""
    classes = len(samples.classes)
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    with torch.no_grad():
        for sample in samples.epoch(threads=2):
            image = torch.tensor(sample.image[None], device=device, dtype=torch.float32)
            predicted = network(image, training=False)[0].argmax(-1).cpu()
            label = torch.tensor(sample.label).long()
            kept = label < classes
            pairs = label[kept] * classes + predicted[kept]
            counts += torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both = counts.sum(0) + counts.sum(1) - counts.diagonal()
    return float((counts.diagonal() / both)[both > 0].mean())


def main() -> None:
    """Train, print the loss and the score, and save the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", help="a folder that dsbuild wrote")
    parser.add_argument("--split", default="train")
    parser.add_argument("--val", default="val")
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--crop", type=int, default=129)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--out", default="deeplab.pt")
    options = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    held = dsbuild.open(options.data, options.val)
    ignore = 255 if held.ignore is None else held.ignore
    window = Window(options.crop, ignore)
    data = dsbuild.torch_dataset(
        options.data, options.split, as_supervised=True, transforms=window, iterable=True, seed=0
    )
    if len(data) < options.batch:
        parser.error(
            f"{options.split}: found {len(data)} samples, fewer than a batch of {options.batch}, "
            "so that no batch is ever complete; give a smaller --batch"
        )
    # Each worker drops its own rest: with less than a batch it would never yield anything.
    workers = min(2, len(data) // options.batch)
    loader = DataLoader(
        data, options.batch, num_workers=workers, drop_last=True, persistent_workers=True
    )
    network = model.build(classes=len(held.classes), backbone=options.backbone, momentum=0.8)
    network.to(device)
    optimiser = torch.optim.Adam(network.parameters(), options.rate)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, options.steps, power=0.9)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for epoch in itertools.count():
            data.set_epoch(epoch)
            yield from loader

    for step, (image, label) in enumerate(itertools.islice(batches(), options.steps), 1):
        image = image.to(device).permute(0, 2, 3, 1).float()  # Keras has channels last
        logits = network(image, training=True).permute(0, 3, 1, 2)
        loss = functional.cross_entropy(logits, label.to(device).long(), ignore_index=ignore)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 20 == 0 or step == options.steps:
            print(f"step {step:,} of {options.steps:,}  loss {loss.item():.4f}", flush=True)
    print(f"{options.val}: mIoU {mean_iou(network, held, device):.4f}")
    torch.save(network.state_dict(), options.out)


if __name__ == "__main__":
    main()
