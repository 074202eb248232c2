import numpy as np
import pytest
import torch
from helpers.models import COMBINATIONS, build_model

from action_gru.core.errors import ConfigError
from action_gru.model import CELLS, ActionClassifier, fuse, pool_opinions
from action_gru.model.pooling import CONTEXT, pooling_module


@pytest.mark.parametrize(("cell", "pooling", "fusion"), COMBINATIONS)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("closed_form", [False, True])
def test_step_equals_forward(cell, pooling, fusion, num_layers, closed_form):
    options = {"cell": cell, "pooling": pooling, "fusion": fusion, "num_layers": num_layers}
    model = build_model(**options, closed_form=closed_form)
    features = torch.randn(2, 9, 7) * 3
    state = None
    for length in range(1, 10):
        logits, state = model.step(features[:, length - 1], state)
        whole = model(features[:, :length], torch.tensor([length, length]))
        torch.testing.assert_close(logits, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fusion", ["late", "early"])
def test_an_ensemble_answers_with_the_mean_of_its_members(fusion):
    model = build_model(fusion=fusion, ensemble=3)
    features, lengths, state = torch.randn(2, 9, 7), torch.tensor([9, 9]), None
    branches = model.branch_logits(features, lengths)
    assert branches.shape[1] == (6 if fusion == "late" else 3)
    assert len(branches[0, :, 0].unique()) == branches.shape[1]
    mean, answer = branches.softmax(-1).mean(1), model(features, lengths)
    torch.testing.assert_close(answer.softmax(-1), mean)
    for step in range(9):
        logits, state = model.step(features[:, step], state)
    torch.testing.assert_close(logits, answer, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.running(features)[:, -1], answer, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("cell", "pooling", "fusion"), COMBINATIONS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("closed_form", [False, True])
def test_padding_never_changes_the_logits(cell, pooling, fusion, bidirectional, closed_form):
    options = {"cell": cell, "pooling": pooling, "fusion": fusion, "bidirectional": bidirectional}
    model = build_model(**options, closed_form=closed_form)
    features = torch.randn(3, 8, 7)
    lengths = torch.tensor([8, 3, 1])
    together = model(features, lengths)
    features[1, 3:], features[2, 1:] = 1e4, -1e4
    torch.testing.assert_close(model(features, lengths), together)
    for row, length in enumerate(lengths.tolist()):
        alone = model(features[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cell", list(CELLS))
def test_order_reaches_the_logits_only_through_a_cell(cell):
    features, lengths = torch.randn(1, 6, 7), torch.tensor([6])
    ordered, mean_pooled = build_model(cell=cell), build_model(cell="none", pooling="mean")
    backwards = features.flip(1)
    assert not torch.allclose(ordered(features, lengths), ordered(backwards, lengths), atol=1e-4)
    torch.testing.assert_close(mean_pooled(features, lengths), mean_pooled(backwards, lengths))


def test_a_transformer_tells_a_sequence_from_its_reverse_without_a_cell():
    features, lengths = torch.randn(4, 12, 7), torch.full((4,), 12)
    told = {}
    for pooling in ("attention", "transformer"):
        model = build_model(cell="none", pooling=pooling)
        told[pooling] = (model(features, lengths) - model(features.flip(1), lengths)).abs().max()
    assert told["attention"] < 1e-5 < 1e-3 < told["transformer"]


def test_a_transformer_forgets_what_is_beyond_its_context():
    block, hidden = pooling_module("transformer", 6), torch.randn(1, CONTEXT + 5, 6)
    changed = hidden.clone()
    changed[:, 0] = torch.randn(6)
    before, after = block._encode(hidden), block._encode(changed)
    assert (before - after)[:, :CONTEXT].abs().amax((0, 2)).min() > 0
    torch.testing.assert_close(before[:, CONTEXT:], after[:, CONTEXT:])


@pytest.mark.slow
def test_a_long_stream_neither_overflows_nor_drifts():
    model = build_model(pooling="attention")
    features = torch.randn(1, 3000, 7) * 50
    state = None
    for step in range(3000):
        logits, state = model.step(features[:, step], state)
    torch.testing.assert_close(logits, model(features, torch.tensor([3000])), atol=1e-3, rtol=1e-3)


def test_a_bidirectional_model_refuses_to_stream():
    with pytest.raises(ConfigError, match="cannot run live"):
        build_model(bidirectional=True).step(torch.zeros(1, 7))


def test_gru_has_three_quarters_of_the_lstm_parameters():
    def count(cell: str) -> int:
        return sum(
            p.numel() for stream in build_model(cell=cell).streams for p in stream.cell.parameters()
        )

    assert count("gru") / count("lstm") == 0.75


def test_a_trend_is_the_mean_the_slope_and_the_bend_over_the_time_so_far():
    pooling, lengths = pooling_module("trend", 2), torch.tensor([9, 4])
    time = 2 * (torch.arange(9) + 0.5) / 9 - 1  # -1 to 1 over the first sequence
    hidden = torch.stack([2 + 3 * time, time.square()], -1).repeat(2, 1, 1)
    hidden[1, 4:] = 100  # after its end
    legendre = np.polynomial.legendre.legvander(time.numpy(), 2) * np.sqrt([1, 3, 5])
    expected = legendre.T @ hidden[0].numpy() / 9
    whole, state = pooling(hidden, lengths), None
    np.testing.assert_allclose(whole[0].reshape(3, 2), expected, atol=1e-6)
    state = tuple(torch.full((2, width), start) for width, start in pooling.start.values())
    for step in range(9):
        told, state = pooling.step(hidden[:, step], state)
        torch.testing.assert_close(pooling.running(hidden)[:, step], told, atol=1e-4, rtol=0)
        if step == 3:
            torch.testing.assert_close(whole[1], told[1], atol=1e-5, rtol=1e-5)


def test_a_trend_does_not_drift_in_a_long_stream():
    pooling, count = pooling_module("trend", 1), 10_000
    rows = 5 + 3 * torch.linspace(-1, 1, count)[:, None]
    state = tuple(torch.full((1, width), start) for width, start in pooling.start.values())
    with torch.inference_mode():
        for row in rows.split(1):
            told, state = pooling.step(row, state)
    torch.testing.assert_close(told, torch.tensor([[5.0, 3**0.5, 0.0]]), atol=2e-3, rtol=0)


def test_pooling_weights_sum_to_one_over_the_valid_steps():
    pooling = build_model(pooling="attention").streams[0].pool_hidden
    weights = pooling.weights(torch.randn(2, 5, 5), torch.tensor([5, 2]))
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert weights[1, 2:].tolist() == [0.0, 0.0, 0.0]


def test_channel_normalisation_standardises_each_column_by_the_training_data():
    model = build_model(normalisation="channel")
    training = torch.randn(400, 7) * torch.arange(1, 8) + torch.arange(7)
    model.fit_statistics(training, chunk=64)
    made = model.standardise(training)
    torch.testing.assert_close(made.mean(0), torch.zeros(7), atol=1e-4, rtol=0)
    torch.testing.assert_close(made.std(0, correction=0), torch.ones(7), atol=1e-4, rtol=0)


def test_frame_normalisation_forgets_the_scale_of_a_view():
    model = build_model()
    features = torch.randn(2, 7)
    louder = torch.cat([features[:, :4] * 30 + 5, features[:, 4:]], 1)
    torch.testing.assert_close(
        model.standardise(features), model.standardise(louder), atol=1e-3, rtol=0
    )


def test_a_constant_feature_is_not_blown_up():
    model = build_model(normalisation="channel")
    model.fit_statistics(torch.zeros(5, 7))
    assert model.standardise(torch.full((1, 7), 0.5)).abs().max() == 0


def test_an_unsolved_closed_form_stream_counts_for_nothing():
    features, lengths = torch.randn(2, 6, 7), torch.tensor([6, 4])
    torch.manual_seed(0)
    plain = ActionClassifier((4, 3), 3).eval()
    beside = ActionClassifier((4, 3), 3, closed_form=True).eval()
    beside.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(plain(features, lengths), beside(features, lengths))


def test_the_answer_is_the_average_of_probabilities_by_their_shares():
    logits = torch.log(torch.tensor([[[0.9, 0.1], [0.2, 0.8]]]))
    shares = torch.tensor([0.25, 0.75])
    made = fuse(logits, shares).softmax(-1)
    torch.testing.assert_close(made, torch.tensor([[0.375, 0.625]]))


def test_an_undecided_closed_form_stream_leaves_the_choice_to_the_cell():
    sure, undecided = torch.tensor([[0.1, 0.9, 0.0]]), torch.tensor([[0.65, 0.35, 0.0]])
    made = pool_opinions((sure + 1e-3).log(), (undecided + 1e-3).log(), torch.tensor(0.75))
    assert made.argmax() == 1
    averaged = 0.25 * sure + 0.75 * undecided
    assert averaged.argmax() == 0


@pytest.mark.parametrize(("cell", "pooling", "fusion"), COMBINATIONS)
@pytest.mark.parametrize("closed_form", [False, True])
def test_running_gives_what_step_gives_after_each_row(cell, pooling, fusion, closed_form):
    model = build_model(cell=cell, pooling=pooling, fusion=fusion, closed_form=closed_form)
    features = torch.randn(2, 9, 7) * 3
    model.temperature = 2.0
    running, state = model.running(features), None
    for index in range(9):
        logits, state = model.step(features[:, index], state)
        torch.testing.assert_close(running[:, index], logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("closed_form", [False, True])
def test_missing_values_step_as_they_are_read_whole(closed_form):
    model = build_model(normalisation="channel", flag_missing=True, closed_form=closed_form)
    features = torch.randn(2, 6, 7)
    features[0, 1, 2] = features[1, 5] = torch.nan
    state = None
    for index in range(6):
        logits, state = model.step(features[:, index], state)
    whole = model(features, torch.tensor([6, 6]))
    torch.testing.assert_close(logits, whole, atol=1e-5, rtol=0)
    assert torch.isfinite(whole).all()


def test_statistics_leave_missing_values_and_constants_out():
    model = ActionClassifier((3,), 2, normalisation="channel")
    nan = torch.nan
    model.fit_statistics(torch.tensor([[1.0, 5e4, nan], [nan, 5e4, nan], [3.0, 5e4, nan]]))
    assert model.feature_mean.tolist() == [2.0, 5e4, 0.0]
    assert model.feature_scale.tolist() == [1.0, 0.0, 0.0]
    small = ActionClassifier((1,), 2, normalisation="channel")
    small.fit_statistics(torch.tensor([[1e-7], [3e-7]]))  # volts of a weak sensor still move
    assert small.standardise(torch.tensor([[3e-7]])).item() == pytest.approx(1.0)


@pytest.mark.parametrize("fusion", ["late", "early"])
def test_with_several_labels_the_branches_are_averaged_as_sigmoids(fusion):
    torch.manual_seed(0)
    model = ActionClassifier([3, 5], 4, projection_size=6, hidden_size=7, fusion=fusion, many=True)
    features, lengths = torch.randn(2, 9, 8), torch.tensor([9, 9])
    logits = model.eval()(features, lengths)
    each = model.branch_logits(features, lengths).sigmoid()
    torch.testing.assert_close(model.probabilities(logits), each.mean(1))
    state = None
    for row in features.unbind(1):
        stepped, state = model.step(row, state)
    torch.testing.assert_close(stepped, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.running(features)[:, -1], logits, rtol=1e-4, atol=1e-5)


def test_an_average_of_certain_sigmoids_stays_finite():
    logits = torch.tensor([[[200.0, -200.0, 200.0], [200.0, -200.0, -200.0]]])
    assert fuse(logits, many=True).tolist() == [[200.0, -200.0, 0.0]]


def test_the_closed_form_is_refused_with_several_labels():
    with pytest.raises(ConfigError, match=r"closed_form: does not go with data.labels=many"):
        ActionClassifier([3], 2, closed_form=True, many=True)


@pytest.mark.parametrize("cell", ["gru", "lstm", "none"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_training_on_packed_steps_has_the_gradients_of_padded_ones(cell, bidirectional):
    options = {"projection_size": 6, "hidden_size": 5, "dropout": 0.0, "head_dropout": 0.0}
    model = ActionClassifier((4, 3), 3, cell=cell, bidirectional=bidirectional, **options)
    features, lengths = torch.randn(4, 6, 7), torch.tensor([3, 6, 1, 6])
    weights = torch.randn(4, 2, 3)

    def gradients(trains):
        model.train(trains).zero_grad()
        logits = model.branch_logits(features, lengths)
        (logits * weights).sum().backward()
        return [logits.detach(), *(p.grad.clone() for p in model.parameters())]

    for packed, padded in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(packed, padded, atol=1e-6, rtol=1e-4)
