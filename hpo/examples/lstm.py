"""A recurrent network that answers questions about stories.

Tune it on generated stories of positional reasoning::

    hpo run hpo.examples.lstm:trainer --max-resource 27 --workers 2

The tasks' own files are a constant of the search space: the common beginning of the two names that
end in ``_train.txt`` and ``_test.txt``::

    data = { type = "constant", value = "babi:/data/en/qa17_positional-reasoning" }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from hpo.examples.babi import Question, positional_reasoning, read_babi
from hpo.examples.settings import Settings, Split, classifier_run, majority_score, named, targets_of
from hpo.trainers import Generators, TorchRun, TorchTrainer
from hpo.trial import Config

DEFAULTS: Config = {
    "lr": 0.004,
    "weight_decay": 1e-4,
    "dropout": 0.1,
    "embedding": 16,
    "hidden": 32,
    "layers": 1,
    "batch_size": 64,
}
"""A configuration that works on the generated stories."""


@dataclass(frozen=True)
class Stories:
    """Questions as numbers.

    Attributes
    ----------
    split : Split
        Pairs of word numbers of shape (n_words,), with 0 in front of short ones, and an
        answer's number.
    n_words, n_answers : int
        Sizes of the two vocabularies, the filling included.
    """

    split: Split
    n_words: int
    n_answers: int


@lru_cache(maxsize=4)
def load_stories(data: str) -> Stories:
    """Load questions by name, once per process.

    Parameters
    ----------
    data : str
        ``"positional"`` (generated; 4,000 questions to train on, 800 to validate with) or
        ``"babi:BEGINNING"``, for the files ``BEGINNING_train.txt`` and ``BEGINNING_test.txt``.

    Raises
    ------
    ValueError
        If the name is of no such form, or a file is not of the tasks' format.
    OSError
        If a file cannot be read.
    """
    kinds = {
        "positional": lambda _: _numbered(
            positional_reasoning(500, seed=0), positional_reasoning(100, seed=1)
        ),
        "babi": lambda beginning: _numbered(
            read_babi(f"{beginning}_train.txt"), read_babi(f"{beginning}_test.txt")
        ),
    }
    stories: Stories = named(kinds, data)
    return stories


def _numbered(train: Sequence[Question], validation: Sequence[Question]) -> Stories:
    """Turn words and answers into numbers, in alphabetical order."""
    every = [*train, *validation]
    words = {word: n for n, word in enumerate(sorted({w for q in every for w in q.words}), 1)}
    answers = {answer: n for n, answer in enumerate(sorted({q.answer for q in every}))}
    length = max(len(question.words) for question in every)

    def dataset(questions: Sequence[Question]) -> TensorDataset:
        inputs = torch.zeros((len(questions), length), dtype=torch.long)
        for row, question in enumerate(questions):
            numbers = [words[word] for word in question.words]
            inputs[row, length - len(numbers) :] = torch.tensor(numbers)
        return TensorDataset(inputs, torch.tensor([answers[q.answer] for q in questions]))

    return Stories(Split(dataset(train), dataset(validation)), len(words) + 1, len(answers))


class QuestionAnswerer(nn.Module):
    """Reads story and question forwards and backwards; the largest states give the answer.

    An LSTM that reads forwards only, and answers from its last state, stays at chance for hundreds
    of steps on positional reasoning.

    Parameters
    ----------
    stories : Stories
        For the sizes of the vocabularies.
    config : Config
        With ``embedding``, ``hidden``, ``layers`` and ``dropout``.
    """

    def __init__(self, stories: Stories, config: Config) -> None:
        super().__init__()
        hidden, layers = int(config["hidden"]), int(config["layers"])
        self.embedding = nn.Embedding(stories.n_words, int(config["embedding"]), padding_idx=0)
        self.reader = nn.LSTM(
            int(config["embedding"]),
            hidden,
            layers,
            batch_first=True,
            bidirectional=True,
            dropout=float(config["dropout"]) if layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(float(config["dropout"]))
        self.answer = nn.Linear(2 * hidden, stories.n_answers)

    def forward(self, words: Tensor) -> Tensor:  # (batch, n_words)
        """Return logits of shape (batch, n_answers)."""
        states, _ = self.reader(self.embedding(words))  # (batch, n_words, 2 * hidden)
        logits: Tensor = self.answer(self.dropout(states.amax(dim=1)))
        return logits


def build(config: Config, generators: Generators) -> TorchRun:
    """Build the objects of a trial from `config` (see `DEFAULTS`) and its random `generators`."""
    settings = Settings.of(config, data="positional")
    stories = load_stories(settings.data)
    return classifier_run(
        settings, QuestionAnswerer(stories, config), stories.split, config, generators
    )


def trivial_score(data: str = "positional") -> dict[str, float]:
    """Return loss and accuracy of always answering with the answers' frequencies."""
    split = load_stories(data).split
    return majority_score(targets_of(split.validation), targets_of(split.train))


trainer = TorchTrainer(build, seed=0)
