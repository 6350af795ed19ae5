"""Q-learning over sequences of choices: the agent of MetaQNN.

A configuration is built choice by choice (layer by layer, say), as a path through the states of a
`DecisionProcess`. The agent keeps an estimate Q(state, choice) of the reward at the path's end.
It explores at random first and follows its estimates more and more. Paths and rewards are stored
and replayed, which propagates a reward back through the path.

>>> from hpo.examples.architectures import LayerSequences
>>> agent = QLearningSearcher(LayerSequences(), seed=0)
>>> agent.propose(0)["layers"] != agent.propose(1)["layers"]
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo.searchers.base import check_count
from hpo.trial import Config

State = Hashable
Schedule = Sequence[tuple[float, int]]

_MAX_EPISODES = 1000
"""Maximum number of paths that are tried to find a new proposal."""
_MAX_STATES = 100_000
"""Maximum number of states that are visited to find one that is left."""


class DecisionProcess(Protocol):
    """Sequential choices that complete a configuration."""

    def start(self) -> State:
        """Return the state before the first choice."""
        ...

    def moves(self, state: State) -> Mapping[str, State]:
        """Return the possible choices and the states that they lead to; none at the end."""
        ...

    def config(self, choices: Sequence[str]) -> Config:
        """Return the configuration of a complete sequence of choices."""
        ...


def error_reward(loss: float) -> float:
    """Return the accuracy for a loss that is an error rate; 0 for a failure."""
    return 1.0 - min(max(loss, 0.0), 1.0) if math.isfinite(loss) else 0.0


def epsilon_schedule(n_trials: int, explore: float = 0.5) -> tuple[tuple[float, int], ...]:
    """Return a schedule of epsilon: 1 at first, then 0.9, 0.8, ... 0.1.

    Parameters
    ----------
    n_trials : int
        Number of proposals; at least 1.
    explore : float
        Fraction of random proposals, in [0, 1] (in the paper, more than half).

    Returns
    -------
    tuple of (epsilon, number of proposals)
        The last epsilon is kept for further proposals.
    """
    if n_trials < 1 or not 0 <= explore <= 1:
        raise ValueError(
            f"n_trials must be at least 1 and explore in [0, 1], got {n_trials} and {explore}"
        )
    first = round(n_trials * explore)
    steps = np.arange(10) * (n_trials - first) // 9
    counts = np.diff(steps)
    falling = tuple((round(0.9 - 0.1 * i, 1), int(count)) for i, count in enumerate(counts))
    return ((1.0, first), *falling)


@dataclass(frozen=True)
class _Episode:
    """A path and its reward."""

    path: tuple[tuple[State, str], ...]
    reward: float


class QLearningSearcher:
    """Proposes configurations by Q-learning with experience replay.

    Parameters
    ----------
    process : DecisionProcess
        The choices.
    schedule : sequence of (epsilon, number of proposals), default=((1.0, 50), (0.5, 25), (0.1, 1))
        Probability of a random choice, stage by stage; the last stage is open-ended.
    seed : int, default=0
        Seed of the random number generator; not negative.
    learning_rate : float, default=0.1
        alpha, in (0, 1].
    n_replays : int, default=100
        Number of episodes that are replayed after each new one.
    reward : callable, default=error_reward
        Converts a loss to a reward in [0, 1].
    allow_duplicates : bool, default=False
        Whether an architecture is trained again when it is drawn again, for a trainer with noise.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.EarlyStopping : The scheduler that reports final losses to it.
    hpo.RandomSearcher : Random configurations.

    Notes
    -----
    The scheduler reports final losses (`observe`), so with several workers the proposals depend on
    the order of reports. Replaying a journal gives the same order. Unless `allow_duplicates` is
    set, an architecture that is drawn again is not trained again: its known reward is replayed.
    Where a thousand draws find no new one, the first that is left is taken, in random order.

    References
    ----------
    Baker et al., Designing Neural Network Architectures using Reinforcement Learning,
    :arxiv:`1611.02167`, equation 3 (update), section 4 (schedule, replay, initial values 0.5).

    Examples
    --------
    >>> from hpo import QLearningSearcher
    >>> from hpo.examples.architectures import LayerSequences
    >>> agent = QLearningSearcher(LayerSequences(), seed=0)
    >>> config = agent.propose(0)
    >>> agent.observe(0, 0.25)
    >>> agent.propose(1) != config
    True
    """

    def __init__(
        self,
        process: DecisionProcess,
        schedule: Schedule = ((1.0, 50), (0.5, 25), (0.1, 1)),
        *,
        seed: int = 0,
        learning_rate: float = 0.1,
        n_replays: int = 100,
        reward: Callable[[float], float] = error_reward,
        allow_duplicates: bool = False,
    ) -> None:
        if not schedule or any(not 0 <= epsilon <= 1 or count < 0 for epsilon, count in schedule):
            raise ValueError(
                "schedule must hold pairs of an epsilon in [0, 1] and a count of at least 0, got "
                f"{schedule!r}"
            )
        check_count("seed", seed, 0)
        check_count("n_replays", n_replays, 0)
        if not 0 < learning_rate <= 1:
            raise ValueError(f"learning_rate must lie in (0, 1], got {learning_rate}")
        self._process = process
        self._schedule = tuple(schedule)
        self._seed = seed
        self._rate = learning_rate
        self._n_replays = n_replays
        self._reward = reward
        self.allow_duplicates = allow_duplicates
        self._moves: dict[State, Mapping[str, State]] = {}
        self._values: dict[tuple[State, str], float] = {}
        self._episodes: list[_Episode] = []
        self._paths: dict[int, tuple[tuple[State, str], ...]] = {}  # trial -> its path
        self._known: dict[tuple[str, ...], float | None] = {}  # choices -> reward, once there

    def propose(self, trial_id: int) -> Config | None:
        """Return a configuration not proposed before, None if there are no more."""
        epsilon = self.epsilon(trial_id)
        rng = np.random.default_rng([self._seed, 0, trial_id])
        for _ in range(_MAX_EPISODES):
            path = self._walk(rng, epsilon)
            choices = tuple(choice for _, choice in path)
            if self.allow_duplicates or choices not in self._known:
                return self._proposed(trial_id, path)
            reward = self._known[choices]
            if reward is not None:
                self._learn(_Episode(path, reward))
        left = next(self._untried(rng), None)
        return None if left is None else self._proposed(trial_id, left)

    def _proposed(self, trial_id: int, path: tuple[tuple[State, str], ...]) -> Config:
        choices = tuple(choice for _, choice in path)
        self._known.setdefault(choices, None)
        self._paths[trial_id] = path
        return self._process.config(choices)

    def _untried(self, rng: np.random.Generator) -> Iterator[tuple[tuple[State, str], ...]]:
        """Yield the paths that were not proposed, in random order, of some that are left."""
        paths: list[tuple[tuple[State, str], ...]] = [()]
        ends: list[State] = [self._process.start()]
        for _ in range(_MAX_STATES):
            if not paths:
                return
            path, state = paths.pop(), ends.pop()
            moves = self._moves_from(state)
            if not moves and tuple(choice for _, choice in path) not in self._known:
                yield path
            names = tuple(moves)
            for place in rng.permutation(len(names)):
                paths.append((*path, (state, names[place])))
                ends.append(moves[names[place]])

    def observe(self, trial_id: int, loss: float) -> None:
        """Learn from the end of a trial (see `hpo.searchers.RewardedSearcher`)."""
        path = self._paths[trial_id]
        reward = self._reward(loss)
        self._known[tuple(choice for _, choice in path)] = reward
        self._learn(_Episode(path, reward))

    def epsilon(self, trial_id: int) -> float:
        """Return the probability of a random choice in trial number `trial_id`."""
        for epsilon, count in self._schedule:
            if trial_id < count:
                return epsilon
            trial_id -= count
        return self._schedule[-1][0]

    def value(self, state: State, choice: str) -> float:
        """Return Q(state, choice); initially 0.5."""
        return self._values.get((state, choice), 0.5)

    def best_choices(self) -> tuple[str, ...]:
        """Return the path with the highest estimates."""
        path = self._walk(np.random.default_rng(self._seed), 0.0)
        return tuple(choice for _, choice in path)

    def _walk(self, rng: np.random.Generator, epsilon: float) -> tuple[tuple[State, str], ...]:
        state = self._process.start()
        path: list[tuple[State, str]] = []
        while moves := self._moves_from(state):
            choice = self._choose(rng, state, tuple(moves), epsilon)
            path.append((state, choice))
            state = moves[choice]
        return tuple(path)

    def _choose(
        self, rng: np.random.Generator, state: State, choices: tuple[str, ...], epsilon: float
    ) -> str:
        if rng.random() >= epsilon:
            values = np.array([self.value(state, choice) for choice in choices])
            choices = tuple(choices[i] for i in np.flatnonzero(values == values.max()))
        return choices[int(rng.integers(len(choices)))]

    def _learn(self, episode: _Episode) -> None:
        """Store an episode, and replay it and some earlier ones."""
        self._episodes.append(episode)
        rng = np.random.default_rng([self._seed, 1, len(self._episodes)])
        picks = rng.integers(len(self._episodes), size=self._n_replays)
        for again in (episode, *(self._episodes[int(pick)] for pick in picks)):
            self._replay(again)

    def _replay(self, episode: _Episode) -> None:
        """Update the estimates along a path, from its end backwards (equation 3, gamma 1)."""
        target = episode.reward
        for state, choice in reversed(episode.path):
            old = self.value(state, choice)
            self._values[state, choice] = (1 - self._rate) * old + self._rate * target
            target = max(self.value(state, other) for other in self._moves_from(state))

    def _moves_from(self, state: State) -> Mapping[str, State]:
        if state not in self._moves:
            self._moves[state] = self._process.moves(state)
        return self._moves[state]
