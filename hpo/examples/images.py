"""Images to classify: handwritten digits, CIFAR-10, or folders of pictures.

CIFAR-10 and folders (tiny-imagenet, say) are read by torchvision, from where the user has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import TensorDataset

from hpo.errors import import_optional
from hpo.examples.settings import Split, named


@dataclass(frozen=True)
class Images:
    """Images and what they look like.

    Attributes
    ----------
    split : Split
        Pairs of an image of shape (n_channels, size, size) and a class.
    n_channels, size, n_classes : int
        Colours, pixels along an edge, classes.
    """

    split: Split
    n_channels: int
    size: int
    n_classes: int


@lru_cache(maxsize=4)
def load_images(data: str) -> Images:
    """Load images by name, once per process.

    Parameters
    ----------
    data : str
        ``"digits"`` (scikit-learn's, 8 x 8), ``"cifar10:FOLDER"`` (the folder that holds
        ``cifar-10-batches-py``) or ``"folder:FOLDER"`` (with ``train/CLASS/...`` and
        ``val/CLASS/...``; all images of one square size).

    Raises
    ------
    ValueError
        If the name is of no such form.
    MissingPackageError
        If torchvision is needed and not installed.
    OSError
        If the files are not there.
    """
    kinds = {"digits": _digits, "cifar10": _cifar10, "folder": _folder}
    images: Images = named(kinds, data)
    return images


def _digits(_: str) -> Images:
    """Return 1,000 digits to train on and 797 to validate with."""
    pixels, labels = load_digits(return_X_y=True)
    inputs = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    classes = torch.tensor(labels)
    train, validation = train_test_split(
        range(len(labels)), train_size=1000, random_state=0, stratify=labels
    )
    split = Split(
        TensorDataset(inputs[train], classes[train]),
        TensorDataset(inputs[validation], classes[validation]),
    )
    return Images(split, 1, 8, 10)


def _cifar10(folder: str) -> Images:
    vision = import_optional("torchvision", f"data cifar10:{folder}", "vision")
    place = _existing(folder, "cifar10")
    transform = vision.transforms.ToTensor()
    parts = [
        vision.datasets.CIFAR10(place, train=train, transform=transform, download=False)
        for train in (True, False)
    ]
    return Images(Split(*parts), 3, 32, 10)


def _folder(folder: str) -> Images:
    vision = import_optional("torchvision", f"data folder:{folder}", "vision")
    place = _existing(folder, "folder")
    transform = vision.transforms.ToTensor()
    train, validation = (
        vision.datasets.ImageFolder(place / part, transform=transform) for part in ("train", "val")
    )
    if train.classes != validation.classes:
        raise ValueError(
            f"{place}/train and {place}/val must have folders of the same names, one a class"
        )
    n_channels, height, width = train[0][0].shape
    if height != width:
        raise ValueError(f"images must be square, got {height} x {width} pixels in {place}/train")
    return Images(Split(train, validation), n_channels, height, len(train.classes))


def _existing(folder: str, kind: str) -> Path:
    place = Path(folder)
    if not folder or not place.is_dir():
        raise FileNotFoundError(
            f"data {kind}:{folder} names no folder; give the one that holds the images"
        )
    return place
