"""Tables to classify: scikit-learn's own, CSV files, or data sets of OpenML."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.datasets import fetch_openml, load_breast_cancer, load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from torch.utils.data import TensorDataset

from hpo._typing import FloatArray
from hpo.examples.settings import Split, named


@dataclass(frozen=True)
class Table:
    """A table and its shape.

    Attributes
    ----------
    split : Split
        Pairs of a standardised row of shape (n_features,) and a class; a third of the rows is for
        validation.
    n_features, n_classes : int
        Columns and classes.
    """

    split: Split
    n_features: int
    n_classes: int


@lru_cache(maxsize=4)
def load_table(data: str) -> Table:
    """Load a table by name, once per process.

    Parameters
    ----------
    data : str
        ``"breast-cancer"``, ``"wine"``, ``"digits"``; ``"csv:FILE"``, with a header, numbers and
        the class in the last column; or ``"openml:ID"``, downloaded once to scikit-learn's data
        folder (``openml:ID:FOLDER`` for another one).

    Raises
    ------
    ValueError
        If the name is of no such form, or the table has other columns than numbers.
    OSError
        If a file cannot be read or downloaded.
    """
    kinds = {
        "breast-cancer": lambda _: _prepared(*load_breast_cancer(return_X_y=True)),
        "wine": lambda _: _prepared(*load_wine(return_X_y=True)),
        "digits": lambda _: _prepared(*load_digits(return_X_y=True)),
        "csv": _csv,
        "openml": _openml,
    }
    table: Table = named(kinds, data)
    return table


def _csv(file: str) -> Table:
    path = Path(file)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.reader(stream) if row][1:]
    try:
        X = np.array([[float(cell) for cell in row[:-1]] for row in rows])
    except ValueError as error:
        raise ValueError(
            f"{path} must hold numbers and, in its last column, classes: {error}"
        ) from None
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"{path} must have a header, rows, and at least two columns")
    return _prepared(X, [row[-1] for row in rows])


def _openml(details: str) -> Table:
    number, _, folder = details.partition(":")
    if not number.isdigit():
        raise ValueError(f"data openml:ID needs the number of a data set, got {details!r}")
    found = fetch_openml(
        data_id=int(number), data_home=folder or None, as_frame=False, parser="liac-arff"
    )
    return _prepared(found.data, found.target)


def _prepared(X: ArrayLike, y: ArrayLike) -> Table:
    """Split, put the median in the place of missing numbers, standardise, number the classes."""
    rows = np.asarray(X, dtype=np.float64)  # (n_rows, n_features)
    classes = LabelEncoder().fit_transform(np.asarray(y).ravel())
    train, validation, train_y, validation_y = train_test_split(
        rows, classes, test_size=1 / 3, random_state=0, stratify=classes
    )
    prepare = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    train, validation = prepare.fit_transform(train), prepare.transform(validation)
    split = Split(_dataset(train, train_y), _dataset(validation, validation_y))
    return Table(split, rows.shape[1], int(classes.max()) + 1)


def _dataset(rows: FloatArray, classes: NDArray[np.int64]) -> TensorDataset:
    return TensorDataset(torch.tensor(rows, dtype=torch.float32), torch.tensor(classes))
