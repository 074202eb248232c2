import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from action_gru.features import ClipFeatures
from action_gru.features.sequences import SequenceSet
from action_gru.model import ActionClassifier
from action_gru.training import linear
from action_gru.training.linear import _kappa, _sharpness, _weights, fit_ridge, solve_linear


def clips(labels, strength=1.5, seed=0):
    """Two views, 4 and 3 wide; the class lifts one column of the first."""
    rng = np.random.default_rng(seed)

    def clip(label):
        values = rng.normal(0, 1, (9, 7))
        values[:, label] += strength
        times = np.arange(9) / 10
        return [
            ClipFeatures(part.astype(np.float16), times) for part in (values[:, :4], values[:, 4:])
        ]

    plain = [clip(label) for label in labels]
    return SequenceSet(plain, labels, [clip(label) for label in labels])


def solved(strength=1.5, count=60, **model):
    labels = [index % 3 for index in range(count)]
    train = clips(labels, strength)
    torch.manual_seed(0)
    options = {"projection_size": 6, "hidden_size": 5, "normalisation": "channel"} | model
    model = ActionClassifier((4, 3), 3, closed_form=True, **options).eval()
    model.fit_statistics(train.values)
    solve_linear(model, train, [index // 12 for index in range(count)], 64)
    return model


@pytest.mark.parametrize(("rows", "columns"), [(40, 5), (6, 30)])
def test_ridge_is_the_least_penalised_error_whichever_system_is_solved(rows, columns):
    torch.manual_seed(0)
    x, y = torch.randn(rows, columns) + 3, torch.randn(rows, 2)
    matrix, offset = fit_ridge(x, y, 0.01)
    centred = x - x.mean(0)
    penalty = 0.01 * centred.square().sum()
    gradient = centred.T @ (centred @ matrix - (y - y.mean(0))) + penalty * matrix
    assert gradient.abs().max() < 1e-3
    torch.testing.assert_close((x @ matrix + offset).mean(0), y.mean(0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("columns", [4, 60])
def test_rows_that_are_nearly_one_are_solved_beside_others_far_away(columns):
    torch.manual_seed(0)
    rows = torch.cat([5 + 1e-6 * torch.randn(20, columns), torch.randn(10, columns) - 5])
    targets = one_hot(torch.arange(30) % 2).float()
    answers = linear.Ridge(rows, targets).answers(torch.arange(20), torch.arange(30))
    torch.testing.assert_close(answers[:20], torch.full((20, 2), 0.5), atol=0.01, rtol=0)
    assert answers.isfinite().all()


def test_the_solved_stream_answers_clips_it_has_not_seen():
    model = solved()
    labels = [index % 3 for index in range(30)]
    unseen = clips(labels, seed=7)
    features = unseen.gather(unseen.starts, unseen.lengths)
    answers = model.linear(model.standardise(features), unseen.lengths)
    assert (answers.argmax(1) == unseen.labels).float().mean() > 0.9


@pytest.mark.parametrize("fusion", ["late", "early"])
def test_the_share_is_what_left_out_groups_confirm(fusion):
    sure, clueless = solved(fusion=fusion), solved(strength=0.0, fusion=fusion)
    assert sure.linear_share > 0.8
    assert clueless.linear_share < 0.3
    for model in (sure, clueless):
        torch.testing.assert_close(model.shares.sum(), torch.tensor(1.0))


def in_order(labels, ordered, seed=0):
    """One view of 4 columns: a step in time that goes up or down, or a column that is higher."""
    rng = np.random.default_rng(seed)
    clips, times = [], np.arange(9) / 10
    for label in labels:
        values = rng.normal(0, 0.3, (9, 4))
        if ordered:
            values[:, 0] += np.where(times > rng.uniform(0.2, 0.6), 1, -1) * (1 if label else -1)
        else:
            values[:, label] += 1
        clips.append([ClipFeatures(values.astype(np.float16), times)])
    return SequenceSet(clips, labels, [])


@pytest.mark.parametrize("ordered", [True, False])
def test_actions_that_are_each_other_backwards_are_told_by_their_trend_alone(ordered):
    labels = [index % 2 for index in range(40)]
    train, unseen = in_order(labels, ordered), in_order(labels, ordered, seed=9)
    options = {"projection_size": 6, "hidden_size": 5, "normalisation": "channel"}
    shares, right = {}, {}
    for trend in (False, True):
        model = ActionClassifier((4,), 2, closed_form=True, trend=trend, **options).eval()
        model.fit_statistics(train.values)
        solve_linear(model, train, [index // 8 for index in range(40)], 64)
        features = model.standardise(unseen.gather(unseen.starts, unseen.lengths))
        answers = model.linear(features, unseen.lengths).argmax(1)
        shares[trend], right[trend] = model.linear_share, (answers == unseen.labels).float().mean()
    assert shares[True] > 0.85
    assert right[True] > 0.95
    if ordered:
        assert shares[False] < 0.5  # and so the cell decides
        assert right[False] < 0.8


def test_a_trend_that_left_out_clips_do_not_confirm_is_not_read():
    rng, labels = np.random.default_rng(3), [index % 2 for index in range(40)]
    train = in_order(labels, ordered=False)
    train.values[:] += torch.from_numpy(rng.normal(0, 1, train.values.shape)).to(train.values)
    model = ActionClassifier((4,), 2, closed_form=True, trend=True, normalisation="channel").eval()
    model.fit_statistics(train.values)
    solve_linear(model, train, [index // 8 for index in range(40)], 64)
    ((plain, full),) = model.linear.view_columns()
    read = model.linear.weight.abs().sum(0) > 0
    assert read[plain].all()
    assert read.sum() == len(plain) < len(full)


@pytest.mark.parametrize("misleads", [True, False])
def test_halves_of_clips_are_learnt_from_where_left_out_clips_confirm_it(monkeypatch, misleads):
    rng, labels = np.random.default_rng(5), [index % 2 for index in range(40)]
    clips, times = [], np.arange(10) / 10
    for label in labels:
        # Half of the one action is the other, or both show all along what they are.
        values = rng.normal(0, 0.3, (10, 4))
        if not misleads:
            values = rng.normal(0, 1.0, (10, 4)) + rng.normal(0, 0.7, 4)
        values[5 if misleads else 0 :, 0] += 1.5 * label
        clips.append([ClipFeatures(values.astype(np.float16), times)])
    train, weights = SequenceSet(clips, labels, []), []
    for most_rows in (linear.MAX_ROWS, 0):
        monkeypatch.setattr(linear, "MAX_ROWS", most_rows)
        model = ActionClassifier((4,), 2, closed_form=True, normalisation="channel").eval()
        model.fit_statistics(train.values)
        solve_linear(model, train, [index // 8 for index in range(40)], 64)
        weights.append(model.linear.weight)
    assert torch.equal(*weights) == misleads


def test_the_view_that_tells_the_classes_apart_weighs_more():
    first, second = solved().shares.tolist()
    assert first > 3 * second


def test_the_members_of_an_ensemble_weigh_as_their_view_does():
    alone, three = solved().shares, solved(ensemble=3).shares
    torch.testing.assert_close(three, alone.repeat(3) / 3)


@pytest.mark.parametrize("count", [6, 60])
def test_clips_without_an_error_leave_as_much_doubt_as_one_clip_more(count):
    labels = torch.arange(count) % 2
    answers = torch.eye(2)[labels]
    wrong = (answers * _sharpness(answers, labels)).softmax(1)[0, 1]
    assert wrong * 2 * (count + 2) == pytest.approx(1, rel=0.25)


def test_the_weights_of_views_are_finite_and_positive_whatever_few_clips_say():
    generator = torch.Generator().manual_seed(0)
    for draw in range(100):
        count, views = 4 + draw % 12, 2 + draw % 4
        labels = torch.arange(count) % 2
        first = torch.randn(views, count, generator=generator) - torch.arange(count) % 2
        weights = _weights(torch.stack([first, 1 - first], 2), labels)
        assert weights.isfinite().all()
        assert (weights > 0).all()


def test_kappa_is_zero_for_guessing_and_one_without_error():
    labels = torch.tensor([0, 0, 1, 1])
    perfect, one_sided = torch.eye(2)[labels], torch.eye(2)[torch.zeros(4, dtype=torch.long)]
    assert _kappa(perfect, labels) == 1
    assert _kappa(one_sided, labels) == 0
    # Observed agreement 3/4, by chance 1/2: (3/4 - 1/2) / (1 - 1/2).
    assert _kappa(torch.eye(2)[torch.tensor([0, 1, 1, 1])], labels) == 0.5
