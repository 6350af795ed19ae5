"""Training PyTorch models, in one process or in several."""

from hpo.trainers.torch.launch import TorchrunTrainer
from hpo.trainers.torch.random_state import Generators
from hpo.trainers.torch.trainer import TorchRun, TorchTrainer

__all__ = ["Generators", "TorchRun", "TorchTrainer", "TorchrunTrainer"]
