"""The quality report tells a sampler from random bit strings, and says when it is none better."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

from qsvr import QSVR
from qsvr.inspection.report import SamplerReport


def _info(shift, rng, **extra):
    raw, random = rng.normal(size=200) - shift, rng.normal(size=200)
    return {"sampler": "s", "raw_energies": raw, "energies": raw - 1, "random_energies": random,
            **extra}  # fmt: skip


def test_no_better_than_random_is_said():
    rng = np.random.default_rng(0)
    reports = [SamplerReport.from_info(_info(0.0, rng), -10.0) for _ in range(200)]
    false_alarms = sum(report.p_value < 0.01 for report in reports)
    assert false_alarms <= 8  # 2 expected
    assert "NOT significantly better" in str(reports[0])


def test_better_than_random_is_measured():
    report = SamplerReport.from_info(
        _info(1.0, np.random.default_rng(0), chain_break_fraction=0.25), -10.0
    )
    assert report.p_value < 1e-6
    assert report.beats_random == pytest.approx(0.76, abs=0.04)  # normal: Phi(1 / sqrt(2))
    assert report.share_improved == 1.0
    assert "broken chains: 25.0%" in str(report)


def _printed(raw, random):
    info = {"sampler": "s", "raw_energies": raw, "energies": raw, "random_energies": random}
    return str(SamplerReport.from_info(info, -10.0)).splitlines()


def test_the_verdict_stands_in_words_before_the_test():
    """A bare "no better than random strings: p = 1e-34" read as the verdict."""
    rng = np.random.default_rng(0)
    raw, random = rng.normal(size=64), rng.normal(size=64)
    *_, verdict, test = _printed(raw - 5.0, random)
    assert verdict.startswith("The samples are better than random bit strings (a sample is lower")
    assert test.startswith("test (Mann-Whitney): p = ")
    assert test.endswith("no better than random strings; below 0.01 it is rejected")
    *_, verdict, _ = _printed(raw, random)
    assert verdict.startswith("The samples are NOT significantly better")


def test_one_read_cannot_be_judged():
    *_, verdict, _ = _printed(np.array([-5.0]), np.array([5.0]))
    assert verdict.startswith("1 read cannot show whether the samples are better than random")
    assert "num_reads=20" in verdict
    head, *_ = _printed(np.array([-5.0]), np.array([5.0]))
    assert "1 read;" in head


def test_few_reads_are_enough_where_the_test_can_be_significant():
    *_, verdict, _ = _printed(np.full(5, -5.0), np.arange(5.0))
    assert verdict.startswith("The samples are better than random bit strings")


def test_ties_count_half():
    report = SamplerReport.from_info(
        {"sampler": "s", "raw_energies": np.zeros(20), "energies": np.zeros(20),
         "random_energies": np.zeros(20)},
        -10.0,
    )  # fmt: skip
    assert report.beats_random == 0.5
    assert "all have the same energy, so they cannot be compared" in str(report)


def test_estimator_prints_it(capsys):
    X, y = make_friedman1(20, random_state=0)
    model = QSVR(random_state=0).fit(X, y)
    report = model.sampler_report()
    assert str(report) in capsys.readouterr().out
    assert report.raw.best < report.random.best
    assert report.polished.best <= report.raw.best


def test_samplers_that_polish_have_no_raw_energies():
    X, y = make_friedman1(20, random_state=0)
    model = QSVR(sampler="relax-round", random_state=0).fit(X, y)
    assert "no raw energies" in model.sampler_report().verdict


def test_display_says_the_result():
    mpl = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from qsvr import SampleEnergyDisplay

    X, y = make_friedman1(20, random_state=0)
    display = SampleEnergyDisplay(QSVR(random_state=0).fit(X, y).sampler_report()).plot()
    assert "better than random" in display.ax_.get_title()
    plt.close("all")


def test_text_of_a_sampler_is_shown_as_it_is(capsys):
    """Its name comes from a class of the user or from a service."""
    mpl = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from qsvr._text import say
    from qsvr.inspection import SampleEnergyDisplay

    mpl.use("agg")
    info = {**_info(0.0, np.random.default_rng(0)), "sampler": "a$x^$ \x1b[31m \udce9"}
    report = SamplerReport.from_info(info, -10.0)
    say(report, lines=True)
    out = capsys.readouterr().out
    assert r"Samples of a$x^$ \x1b[31m \xe9:" in out
    assert len(out.splitlines()) > 5
    display = SampleEnergyDisplay(report).plot()
    display.ax_.figure.canvas.draw()  # Matplotlib would refuse the mathematics
    assert any(r"a\$x^\$ \x1b" in text.get_text() for text in display.ax_.get_legend().get_texts())
    mpl.pyplot.close("all")
