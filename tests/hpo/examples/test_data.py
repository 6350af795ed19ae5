"""Data of the models: stories, tables and images, with wrong files answered clearly."""

from __future__ import annotations

import gzip
import hashlib
import json

import numpy as np
import pytest

from babi_files import write_babi
from hpo.examples.babi import (
    Question,
    positional_reasoning,
    read_babi,
    tokens,
)
from hpo.examples.images import load_images
from hpo.examples.lstm import load_stories
from hpo.examples.tables import load_table

# -- stories ------------------------------------------------------------------------------------

SIDES = {"above": "y", "below": "-y", "to the right of": "x", "to the left of": "-x"}


def relation(sentence: str) -> tuple[str, str, str]:
    """Return (first object, side, second object) of a fact or a question."""
    words = " ".join(tokens(sentence)).removeprefix("is ").removeprefix("the ")
    words = words.replace(" is ", " ")
    for name, side in SIDES.items():
        first, found, second = words.partition(f" {name} the ")
        if found:
            return first, side, second
    pytest.fail(f"no relation in {sentence!r}")


def answer_by_search(question: Question) -> str:
    """Answer independently: walk from one object to the other along the facts."""
    steps: dict[str, list[tuple[str, str]]] = {}
    for fact in question.facts:
        first, side, second = relation(fact)
        opposite = side.removeprefix("-") if side.startswith("-") else f"-{side}"
        steps.setdefault(second, []).append((first, side))
        steps.setdefault(first, []).append((second, opposite))
    first, side, second = relation(question.text)
    paths = [(second, [])]
    for place, path in paths:
        if place == first:
            opposite = side.removeprefix("-") if side.startswith("-") else f"-{side}"
            return "yes" if path.count(side) > path.count(opposite) else "no"
        paths += [(n, [*path, s]) for n, s in steps[place] if len(path) < 3]
    pytest.fail(f"{question} cannot be answered")


def test_generated_answers_are_right() -> None:
    questions = positional_reasoning(200, seed=5)
    assert len(questions) == 1600
    assert [q.answer for q in questions] == [answer_by_search(q) for q in questions]
    assert np.mean([q.answer == "yes" for q in questions]) == 0.5
    assert questions == positional_reasoning(200, seed=5)
    assert questions != positional_reasoning(200, seed=6)


def test_written_stories_are_read_again(tmp_path) -> None:
    questions = positional_reasoning(10, seed=2)
    write_babi(tmp_path / "qa17_train.txt", questions)
    assert read_babi(tmp_path / "qa17_train.txt") == questions


ORIGINAL = """\
1 The triangle is above the pink rectangle.
2 The blue square is to the left of the triangle.
3 Is the pink rectangle to the right of the blue square?\tyes\t1 2
4 Is the blue square below the pink rectangle?\tno\t2 1
1 Mary moved to the bathroom.
2 Where is Mary? \tbathroom\t1
3 Mary got the milk there.
4 What is Mary carrying? \tmilk,football\t3
"""


def test_files_of_the_tasks(tmp_path) -> None:
    (tmp_path / "qa_train.txt").write_text(ORIGINAL)
    questions = read_babi(tmp_path / "qa_train.txt")
    assert [q.answer for q in questions] == ["yes", "no", "bathroom", "milk,football"]
    assert [len(q.facts) for q in questions] == [2, 2, 1, 2]
    assert questions[0].answer == answer_by_search(questions[0])
    assert questions[2].words[-4:] == ("?", "where", "is", "mary")
    (tmp_path / "qa_test.txt").write_text(ORIGINAL)
    stories = load_stories(f"babi:{tmp_path / 'qa'}")
    inputs, answers = stories.split.train.tensors
    assert stories.n_answers == 4
    assert inputs.shape == (4, max(len(q.words) for q in questions))
    assert int(inputs.max()) == stories.n_words - 1
    assert (inputs[2] == 0).sum() == inputs.shape[1] - len(questions[2].words)
    assert len(set(answers.tolist())) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("The triangle is above.", "line 1 does not begin with a number"),
        ("1 The triangle is above the square.\n", "holds no question"),
        ("", "holds no question"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message) -> None:
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_babi(tmp_path / "x.txt")


# -- tables -------------------------------------------------------------------------------------


def test_local_tables_are_standardised() -> None:
    table = load_table("breast-cancer")
    rows, classes = table.split.train.tensors
    assert (table.n_features, table.n_classes) == (30, 2)
    assert len(rows) + len(table.split.validation) == 569
    np.testing.assert_allclose(rows.mean(dim=0), 0, atol=1e-5)
    np.testing.assert_allclose(rows.std(dim=0, unbiased=False), 1, atol=1e-5)
    assert set(classes.tolist()) == {0, 1}


def test_csv_file(tmp_path) -> None:
    rng = np.random.default_rng(0)
    lines = ["a,b,kind"] + [
        f"{x:.3f},nan,{'high' if x > 0 else 'low'}" for x in rng.normal(size=60)
    ]
    lines[5] = "nan,1.0,low"
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines) + "\n")
    table = load_table(f"csv:{path}")
    assert (table.n_features, table.n_classes) == (2, 2)
    inputs, _ = table.split.train.tensors
    assert np.isfinite(inputs.numpy()).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,kind\nred,x\n", "must hold numbers"), ("kind\nx\n", "at least two columns")],
)
def test_bad_csv_files(tmp_path, text, message) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_table(f"csv:{tmp_path / 'bad.csv'}")
    with pytest.raises(FileNotFoundError):
        load_table(f"csv:{tmp_path / 'none.csv'}")


def test_openml_from_scikit_learns_cache(tmp_path) -> None:
    """The answers of OpenML's interface, put where scikit-learn keeps them, are read as a table."""
    rng = np.random.default_rng(1)
    rows = "".join(
        f"{x:.4f},{y:.4f},{'p' if x > y else 'n'}\n" for x, y in rng.normal(size=(90, 2))
    )
    arff = (
        "@RELATION toy\n@ATTRIBUTE x REAL\n@ATTRIBUTE y REAL\n@ATTRIBUTE class {p,n}\n@DATA\n"
        + rows
    )
    description = {
        "id": "7",
        "name": "toy",
        "description": "Two numbers, compared.",
        "version": "1",
        "format": "ARFF",
        "status": "active",
        "file_id": "70",
        "default_target_attribute": "class",
        "url": "https://api.openml.org/data/v1/download/70/toy.arff",
        "md5_checksum": hashlib.md5(arff.encode(), usedforsecurity=False).hexdigest(),
        "processing_date": "2020-01-01 00:00:00",
    }
    feature = {"is_target": "false", "is_ignore": "false", "is_row_identifier": "false"}
    feature["number_of_missing_values"] = "0"
    features = [
        {**feature, "index": "0", "name": "x", "data_type": "numeric"},
        {**feature, "index": "1", "name": "y", "data_type": "numeric"},
        {**feature, "index": "2", "name": "class", "data_type": "nominal", "is_target": "true"},
    ]
    answers = {
        "api/v1/json/data/7": json.dumps({"data_set_description": description}),
        "api/v1/json/data/features/7": json.dumps({"data_features": {"feature": features}}),
        "api/v1/json/data/qualities/7": json.dumps({"data_qualities": {"quality": []}}),
        "data/v1/download/70/toy.arff": arff,
        "data/v1/download/70": arff,
    }
    for name, text in answers.items():
        place = tmp_path / "openml" / "openml.org" / f"{name}.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(text.encode()))
    table = load_table(f"openml:7:{tmp_path}")
    assert (table.n_features, table.n_classes) == (2, 2)
    assert len(table.split.train) == 60


@pytest.mark.parametrize("name", ["openml", "openml:iris"])
def test_openml_needs_a_number(name) -> None:
    with pytest.raises(ValueError, match="needs the number of a data set"):
        load_table(name)


# -- images -------------------------------------------------------------------------------------


def test_digits() -> None:
    images = load_images("digits")
    assert (images.n_channels, images.size, images.n_classes) == (1, 8, 10)
    assert len(images.split.train) == 1000
    assert len(images.split.validation) == 797


@pytest.fixture
def vision():
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision is not installed, or does not fit torch: {error}")
    return torchvision


def draw(path, size, value) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_folder_of_images(vision, tmp_path) -> None:
    from hpo.examples import cnn

    for part, count in (("train", 6), ("val", 3)):
        for label, value in (("dark", 20), ("light", 230)):
            for number in range(count):
                draw(tmp_path / part / label / f"{number}.png", (16, 16), value + number)
    images = load_images(f"folder:{tmp_path}")
    assert (images.n_channels, images.size, images.n_classes) == (3, 16, 2)
    config = {**cnn.DEFAULTS, "data": f"folder:{tmp_path}", "batch_size": 4}
    metrics = cnn.trainer.train(config, 0, 3, tmp_path / "c")
    assert metrics.extra["accuracy"][-1] == 1.0


def test_bad_folders_of_images(vision, tmp_path) -> None:
    for part, label, size in (("train", "a", (8, 9)), ("val", "a", (8, 9))):
        draw(tmp_path / part / label / "1.png", size, 5)
    with pytest.raises(ValueError, match="images must be square, got 8 x 9"):
        load_images(f"folder:{tmp_path}")
    draw(tmp_path / "train" / "b" / "1.png", (8, 8), 5)
    with pytest.raises(ValueError, match="must have folders of the same names"):
        load_images(f"folder:{tmp_path}")


@pytest.mark.parametrize("kind", ["cifar10", "folder"])
def test_missing_images(kind, tmp_path) -> None:
    with pytest.raises((FileNotFoundError, ImportError), match=r"names no folder|\[vision\]"):
        load_images(f"{kind}:{tmp_path / 'none'}")
