"""Other ways to read such data, each as its documentation shows it, for bench/read.py."""

import glob
import os
from collections.abc import Callable, Collection, Iterable, Iterator

import build

WORKERS = 2
PLANES = IMAGE, LABEL = "image/encoded", "image/segmentation/class/encoded"
KEPT: list[Iterator] = []  # what `count` has read


def count(samples: Iterable) -> int:
    """Read all samples; return their number.

    The iterator is kept, since one of tf.data may wait seconds for its tuner when it is dropped.
    """
    KEPT.append(iterator := iter(samples))
    return sum(1 for _ in iterator)


def prepare(root: str, out: str, packages: Collection[str]) -> None:
    """Write what peers read next to a folder of shards: TFDS's files, tars, MDS."""
    build.run([build.DSBUILD, "interop", out])
    if "webdataset" in packages:
        build.run([build.DSBUILD, "export", out, f"{out}-tars", "--to", "webdataset"])
    if "grain" in packages:
        build.run([build.DSBUILD, "export", out, f"{out}-arrays", "--to", "array_record"])
    if "litdata" in packages:
        import litdata

        chunks = f"{out}-lit"
        litdata.optimize(_files, build.pairs_of(root), chunks, chunk_bytes="32MB", num_workers=1)
    if "ffcv" in packages:
        _write_ffcv(build.pairs_of(root), f"{out}.beton")
    if "streaming" in packages:
        _streaming()
        from PIL import Image
        from streaming import MDSWriter

        # MosaicML stores an image that Pillow opened from a file as the bytes of that file.
        with MDSWriter(out=f"{out}-mds", columns={"image": "jpeg", "label": "png"}) as writer:
            for pair in build.pairs_of(root):
                image, label = map(Image.open, pair)
                writer.write({"image": image, "label": label})


def _files(pair: tuple[str, str]) -> dict[str, bytes]:
    """Return a pair's JPEG, and its mask as a grey PNG without the palette, as in records."""
    import cv2
    import numpy as np
    from PIL import Image

    grey = cv2.imencode(".png", np.array(Image.open(pair[1])))[1]
    return {IMAGE: build.read(pair[0]), LABEL: grey.tobytes()}


class _Pairs(list):
    """Pairs of files that are decoded when one is asked for, the label in three channels."""

    def __getitem__(self, index: int) -> tuple:
        import cv2

        image, label = _by_opencv(_files(super().__getitem__(index)))
        return image, cv2.merge([label] * 3)


def _write_ffcv(pairs: list[tuple[str, str]], path: str) -> None:
    """Write JPEGs, and labels in three equal channels: FFCV has no others of any size."""
    from ffcv.fields import RGBImageField
    from ffcv.writer import DatasetWriter

    kinds = {"image": RGBImageField("jpg"), "label": RGBImageField("raw")}
    DatasetWriter(path, kinds, num_workers=1).from_indexed_dataset(_Pairs(pairs))


def plain(_: str, out: str, augment: bool = False) -> Callable:
    """Read as DeepLab's data_generator does: TFRecordDataset, parse, decode, shuffle."""
    import tensorflow as tf

    features = {name: tf.io.FixedLenFeature((), tf.string) for name in (IMAGE, LABEL)}
    features["image/filename"] = tf.io.FixedLenFeature((), tf.string)
    features |= {
        f"image/{side}": tf.io.FixedLenFeature((), tf.int64) for side in ("height", "width")
    }

    def parse(record):
        found = tf.io.parse_single_example(record, features)
        image = tf.io.decode_jpeg(found[IMAGE], 3, dct_method="INTEGER_ACCURATE")
        label = tf.io.decode_png(found[LABEL], 1)
        return {
            "image": image,
            "label": label,
            "image_name": found["image/filename"],
            "height": found["image/height"],
            "width": found["image/width"],
        }

    files = tf.data.Dataset.from_tensor_slices(sorted(glob.glob(f"{out}/*.tfrecord"))).shuffle(
        100, 1
    )
    data = files.interleave(tf.data.TFRecordDataset, num_parallel_calls=tf.data.AUTOTUNE)
    data = data.shuffle(100, 1).map(parse, tf.data.AUTOTUNE)
    if augment:
        data = data.map(resize_pad_crop_flip, tf.data.AUTOTUNE)
    data = data.prefetch(tf.data.AUTOTUNE)
    return lambda: count(data)


def plain_augmented(_: str, out: str) -> Callable:
    """Do the same, then resize the whole image, pad it with the mean, crop and flip it."""
    return plain(_, out, augment=True)


def resize_pad_crop_flip(
    sample: dict, crop: int = 513, mean: float = 127.5, ignore: int = 255
) -> dict:
    """Return a sample like DeepLab's input_preprocess, in float32."""
    import tensorflow as tf

    scale = tf.gather([0.5 + 0.25 * i for i in range(7)], tf.random.uniform((), 0, 7, tf.int32))
    size = tf.cast(tf.cast(tf.shape(sample["image"])[:2], tf.float32) * scale, tf.int32)
    image = tf.image.resize(sample["image"], size) - mean
    label = tf.cast(tf.image.resize(sample["label"], size, "nearest"), tf.int32) - ignore
    full = tf.maximum(size, crop)
    image = tf.image.pad_to_bounding_box(image, 0, 0, full[0], full[1]) + mean
    label = tf.image.pad_to_bounding_box(label, 0, 0, full[0], full[1]) + ignore
    corner = tf.cast(tf.random.uniform((2,)) * tf.cast(full - crop + 1, tf.float32), tf.int32)
    image = tf.slice(image, (corner[0], corner[1], 0), (crop, crop, 3))
    label = tf.slice(label, (corner[0], corner[1], 0), (crop, crop, 1))
    flip = tf.random.uniform(()) < 0.5
    image, label = tf.cond(flip, lambda: (image[:, ::-1], label[:, ::-1]), lambda: (image, label))
    return sample | {"image": image, "label": tf.cast(label, tf.uint8)}


def tfds(_: str, out: str) -> Callable:
    """Read with TensorFlow Datasets, using the files that `dsbuild interop` writes."""
    import tensorflow_datasets

    builder = tensorflow_datasets.builder_from_directory(out)
    data = builder.as_dataset(split="train", shuffle_files=True)
    return lambda: count(data)


def tfrecord(_: str, out: str) -> Callable:
    """Read with the package tfrecord, decoding with OpenCV, in torch's DataLoader."""
    import cv2  # noqa: F401
    from tfrecord.torch.dataset import MultiTFRecordDataset

    files = sorted(glob.glob(f"{out}/*.tfrecord"))
    names = [os.path.basename(path) for path in files]
    data = MultiTFRecordDataset(
        f"{out}/{{}}",
        f"{out}/index/{{}}.idx",
        dict.fromkeys(names, 1 / len(names)),
        {IMAGE: "byte", LABEL: "byte"},
        transform=_by_opencv,
        infinite=False,
    )
    return _loaded(data)


def _by_opencv(found: dict) -> tuple:
    import cv2
    import numpy as np

    modes = {
        IMAGE: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION,
        LABEL: cv2.IMREAD_UNCHANGED,
    }
    return tuple(
        cv2.imdecode(np.frombuffer(found[name], np.uint8), mode) for name, mode in modes.items()
    )


def _loaded(data: object, **options: object) -> Callable:
    import torch.utils.data

    loader = torch.utils.data.DataLoader(
        data, 8, num_workers=WORKERS, collate_fn=_tensors, **options
    )
    return lambda: sum(map(len, loader))


def _tensors(batch: list) -> list:
    """Convert arrays to tensors, as torch's collate does, so that they use shared memory."""
    import torch

    return [tuple(torch.as_tensor(plane) for plane in sample) for sample in batch]


def webdataset(_: str, out: str) -> Callable:
    """Read tars of the same images with WebDataset, decoded with Pillow."""
    import numpy as np
    import webdataset as wds

    tars = sorted(glob.glob(f"{out}-tars/*.tar"))
    data = wds.WebDataset(tars, shardshuffle=100, seed=1, empty_check=False).shuffle(100)
    data = data.decode("pil").to_tuple("jpg", "seg.png").map_tuple(np.array, np.array)
    return _loaded(data)


def streaming(_: str, out: str) -> Callable:
    """Read MDS of the same images with MosaicML Streaming."""
    _streaming()
    import numpy as np
    import torch.utils.data
    from streaming import StreamingDataset

    data = StreamingDataset(local=f"{out}-mds", shuffle=True, batch_size=8)

    def arrays(batch):
        return [
            tuple(torch.from_numpy(np.array(one[name])) for name in ("image", "label"))
            for one in batch
        ]

    loader = torch.utils.data.DataLoader(data, 8, num_workers=WORKERS, collate_fn=arrays)
    return lambda: sum(map(len, loader))


def dali(_: str, out: str) -> Callable:
    """Read the same shards with NVIDIA's DALI, on CPUs, with two threads, in batches of 8."""
    from nvidia.dali import fn, pipeline_def, tfrecord, types

    files = sorted(glob.glob(f"{out}/*.tfrecord"))
    indexes = [f"{out}/index/{os.path.basename(path)}.idx" for path in files]

    @pipeline_def(batch_size=8, num_threads=WORKERS, device_id=None)
    def pipeline():
        features = {name: tfrecord.FixedLenFeature((), tfrecord.string, "") for name in PLANES}
        found = fn.readers.tfrecord(
            path=files,
            index_path=indexes,
            features=features,
            random_shuffle=True,
            initial_fill=100,
            name="records",
        )
        image = fn.decoders.image(found[IMAGE], output_type=types.RGB)
        return image, fn.decoders.image(found[LABEL], output_type=types.GRAY)

    made = pipeline()
    made.build()
    samples = made.epoch_size("records")

    def work() -> int:
        for _ in range(-(-samples // 8)):
            made.run()
        return samples

    return work


def grain(_: str, out: str) -> Callable:
    """Read ArrayRecords of the same records with Grain, parsed by dsbuild, decoded with OpenCV."""
    import cv2  # noqa: F401
    import grain

    source = grain.sources.ArrayRecordDataSource(sorted(glob.glob(f"{out}-arrays/*.array_record")))
    data = grain.MapDataset.source(source).shuffle(1).map(_parsed).to_iter_dataset()
    data = data.batch(8, batch_fn=list)
    data = data.mp_prefetch(grain.MultiprocessingOptions(num_workers=WORKERS))
    return lambda: sum(map(len, data))


def _parsed(record: bytes) -> tuple:
    from dsbuild.format import example

    found = example.parse(record)
    return _by_opencv({name: found[name][0] for name in PLANES})


def litdata(_: str, out: str) -> Callable:
    """Read LitData's chunks of the same images."""
    import litdata as lit

    data = lit.StreamingDataset(f"{out}-lit", shuffle=True, transform=_by_opencv)
    loader = lit.StreamingDataLoader(data, batch_size=8, num_workers=WORKERS, collate_fn=_tensors)
    return lambda: sum(map(len, loader))


def ffcv(_: str, out: str) -> Callable:
    """Read FFCV's file of the same images: only central squares, since its planes have one size."""
    from ffcv.fields.decoders import CenterCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption

    squares = {name: [CenterCropRGBImageDecoder((375, 375), 1)] for name in ("image", "label")}
    loader = Loader(
        f"{out}.beton",
        8,
        WORKERS,
        order=OrderOption.QUASI_RANDOM,
        pipelines=squares,
        drop_last=False,
        os_cache=True,
    )
    sum(len(image) for image, _ in loader)  # which compiles the pipelines
    return lambda: sum(len(image) for image, _ in loader)


def _streaming() -> None:
    """Stub torchvision, which Streaming imports and which has no build for torch on CPUs."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _streaming.library = library  # what it defines ends with it
