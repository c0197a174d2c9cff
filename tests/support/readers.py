"""Every way to read a data set in other processes, as a program: `python -m tests.support.readers`.

It takes how to read, how processes start, a folder, and `read` where the parent is to read
first; it prints a digest of the keys and pixels that were read, twice.
"""

import concurrent.futures
import functools
import hashlib
import multiprocessing
import sys
import warnings

import numpy as np

import dsbuild

warnings.filterwarnings("ignore", message="This process .* is multi-threaded")


def told(key, *planes):
    """Return a key and planes in one text."""
    pixels = b"".join(np.asarray(plane).tobytes() for plane in planes)
    return f"{key} {hashlib.sha256(pixels).hexdigest()}"


def said(sample):
    """Return key and pixels of a sample in one text."""
    return told(sample.key, sample.image, sample.label)


def one(data, number):
    """Return the text for a sample by its number."""
    return said(data[number])


def opened(path, number):
    """Return the same for a data set that is opened again."""
    return said(dsbuild.open(path)[number])


def of_torch(sample):
    """Return the same for torch tensors."""
    return told(sample["key"], sample["image"].permute(1, 2, 0), sample["label"])


def of_tf(sample):
    """Return the same for TensorFlow tensors."""
    return told(sample["key"].numpy().decode(), sample["image"], sample["label"])


def numpy(path, context, first):
    """Read in one process of Python's."""
    with context.Pool(1) as pool:
        return pool.apply(functools.partial(_all, _begun(path, first)))


def _begun(path, first):
    data = dsbuild.open(path)
    if first:
        said(data[0])
    return data


def _all(data):
    return list(map(said, data))


def pool(path, context, first):
    """Read in a pool, of a data set of the parent's."""
    data = _begun(path, first)
    with context.Pool(2) as workers:
        return workers.map(functools.partial(one, data), range(len(data)), 3)


def opening(path, context, first):
    """Read in a pool whose processes open the data set themselves."""
    data = _begun(path, first)
    with context.Pool(2) as workers:
        return workers.map(functools.partial(opened, path), range(len(data)), 3)


def futures(path, context, first):
    """Read in a pool of concurrent.futures."""
    data = _begun(path, first)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as workers:
        return list(workers.map(functools.partial(one, data), range(len(data))))


def threads(path, context, first):
    """Read in threads of a process, after its parent read in threads."""
    data = dsbuild.open(path)
    epoch = data.epoch(threads=4)
    before = [said(next(epoch)) for _ in range(5)] if first else []
    with context.Pool(1) as workers:
        return before + workers.apply(_rest, (epoch,))


def _rest(epoch):
    return list(map(said, epoch))


def nested(path, context, first):
    """Read in a process, and in one that it starts."""
    data = _begun(path, first)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as workers:
        return workers.submit(_nested, data, context.get_start_method()).result()


def _nested(data, method):
    found = _all(data)
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as workers:
        assert workers.submit(_all, data).result() == found
    assert _all(data) == found
    return found


def torch(path, context, first, **asked):
    """Read in workers of torch, all again in a second epoch."""
    from torch.utils.data import DataLoader

    data = dsbuild.torch_dataset(path, **asked)
    if first:
        next(iter(data)) if asked else data[0]
    loader = DataLoader(
        data,
        batch_size=None,
        num_workers=2,
        multiprocessing_context=context,
        persistent_workers=bool(asked),
    )
    found = list(map(of_torch, loader))
    assert sorted(map(of_torch, loader)) == sorted(found)
    return found


def stream(path, context, first):
    """Read a stream in workers of torch that stay, in threads of theirs."""
    return torch(path, context, first, iterable=True, threads=2)


def tensorflow(path, context, first):
    """Read by TensorFlow in a process."""
    if first:
        _begun(path, first)
    with context.Pool(1) as workers:
        return workers.apply(_tensorflow, (path,))


def _tensorflow(path):
    return list(map(of_tf, dsbuild.tf_dataset(path)))


def _batches(data):
    """Return a data set of Keras, which is imported here alone."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return len(data)

        def __getitem__(self, number):
            return one(data, number)

        def __reduce__(self):
            return _batches, (data,)

    return Batches()


def keras(path, context, first):
    """Read in the pool of Keras, whose processes start by the default method."""
    multiprocessing.set_start_method(context.get_start_method(), force=True)
    from keras.src.trainers.data_adapters.py_dataset_adapter import OrderedEnqueuer

    data = _begun(path, first)
    queue = OrderedEnqueuer(_batches(data), workers=2, use_multiprocessing=True)
    queue.start()
    try:
        return [next(queue.get()) for _ in range(len(data))]
    finally:
        queue.stop()


def grain(path, _context, first):
    """Read in workers of Grain, which starts them itself."""
    from absl import flags
    from grain import python

    flags.FLAGS(sys.argv[:1])
    data = _begun(path, first)
    sampler = python.SequentialSampler(len(data), python.NoSharding())
    loader = python.DataLoader(data_source=data, sampler=sampler, worker_count=2)
    return list(map(said, loader))


ROOMS = {
    call.__name__: call
    for call in (
        *(numpy, pool, opening, futures, threads, nested),
        *(torch, stream, tensorflow, keras, grain),
    )
}


def main():
    """Read, and print what was read."""
    room, method, path, *first = sys.argv[1:]
    found = ROOMS[room](path, multiprocessing.get_context(method), bool(first))
    print(len(found), hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest())


if __name__ == "__main__":
    main()
