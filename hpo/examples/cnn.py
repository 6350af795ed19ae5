"""A convolutional network that classifies images.

Tune it on scikit-learn's handwritten digits::

    hpo run hpo.examples.cnn:trainer --max-resource 9 --workers 2

Other images, a GPU, mixed precision or early stopping are constants of the search space (see
`hpo.examples.settings` and `hpo.examples.images.load_images`)::

    data = { type = "constant", value = "cifar10:/data/cifar" }
    device = { type = "constant", value = "cuda" }
    precision = { type = "constant", value = "float16" }
    patience = { type = "constant", value = 10 }
"""

from __future__ import annotations

from torch import nn

from hpo.examples.images import Images, load_images
from hpo.examples.settings import Settings, classifier_run, majority_score, targets_of
from hpo.trainers import Generators, TorchRun, TorchTrainer
from hpo.trial import Config

DEFAULTS: Config = {
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "dropout": 0.2,
    "channels": 8,
    "blocks": 2,
    "batch_size": 64,
}
"""A configuration that works on the digits."""


class ImageClassifier(nn.Module):
    """Blocks of convolution, normalisation and pooling, then one linear layer.

    Parameters
    ----------
    images : Images
        What is to be classified.
    channels : int
        Of the first block; every further block has twice as many as the one before.
    blocks : int
        At most; no more than the images can be halved to 2 pixels.
    dropout : float
        Share of the last layer's inputs that are dropped in training, in [0, 1).
    """

    def __init__(self, images: Images, channels: int, blocks: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size, before = images.size, images.n_channels
        for block in range(min(blocks, images.size.bit_length() - 2)):
            after = channels * 2**block
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            size, before = size // 2, after
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(before * size**2, images.n_classes)
        )

    def forward(self, images):  # type: ignore[no-untyped-def]
        """Return logits of shape (batch, n_classes)."""
        return self.head(self.features(images))


def build(config: Config, generators: Generators) -> TorchRun:
    """Build the objects of a trial from `config` (see `DEFAULTS`) and its random `generators`."""
    settings = Settings.of(config, data="digits")
    images = load_images(settings.data)
    model = ImageClassifier(images, config["channels"], config["blocks"], config["dropout"])
    return classifier_run(settings, model, images.split, config, generators)


def trivial_score(data: str = "digits") -> dict[str, float]:
    """Return loss and accuracy of always answering with the class frequencies."""
    split = load_images(data).split
    return majority_score(targets_of(split.validation), targets_of(split.train))


trainer = TorchTrainer(build, seed=0)
