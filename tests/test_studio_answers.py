"""The studio's steady label and events, computed in the page from stored scores: run in node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from action_gru.timeline.events import Prediction
from action_gru.timeline.tracker import EventTracker

PAGE = Path(__file__).parents[1] / "action_gru" / "apps" / "studio" / "page"
NODE = shutil.which("node")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NODE is None, reason="the page's functions run in node, which is not here"),
]
MODEL = {
    "classes": ["wave", "clap", "nothing in particular"],
    "background": ["nothing in particular"],
    "threshold": 0.6,
    "lag_s": 0.5,
}
MIDDLE = {"sensitivity": 0.5, "background": 0.5}
ONE_SURE = [0.8, 0.1, 0.1]
TORN = [0.47, 0.43, 0.1]
QUIET = [0.1, 0.1, 0.8]


@pytest.fixture
def run(tmp_path):
    """The JSON value of an expression over the functions of answers.js."""
    shutil.copy(PAGE / "answers.js", tmp_path / "answers.mjs")  # .mjs: a module in any node

    def evaluate(expression: str, **values: object):
        names = ", ".join(values)
        script = (
            f"import * as answers from {json.dumps((tmp_path / 'answers.mjs').as_uri())};\n"
            f"const {{{names}}} = JSON.parse(process.argv[1]);\n"
            f"console.log(JSON.stringify({expression}));"
        )
        command = [str(NODE), "--input-type=module", "--eval", script, json.dumps(values)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return evaluate


def labels(run, scores, settings=MIDDLE, model=MODEL) -> list[str]:
    """What the page shows, sample after sample at 10 Hz, without neighbours that are equal."""
    times_s = [at / 10 for at in range(len(scores))]
    shown = run(
        "answers.readAll(model, settings, times_s, scores).answers.map(answers.words)",
        model=model,
        settings=settings,
        times_s=times_s,
        scores=scores,
    )
    return [word for at, word in enumerate(shown) if at == 0 or shown[at - 1] != word]


def random_scores(seed: int, count: int = 400) -> np.ndarray:
    """Scores (count, 3) that tremble, and turn every ten rows; each row sums to 1."""
    rng = np.random.default_rng(seed)
    logits = np.repeat(rng.normal(0, 1.5, (count // 10, 3)), 10, axis=0)
    logits += rng.normal(0, 0.7, (count, 3))
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


def events_of_the_command(times_s, scores) -> list[tuple[str, float, float, float]]:
    tracker, found = EventTracker(background=MODEL["background"]), []
    for time_s, row in zip(times_s, scores, strict=True):
        prediction = Prediction.from_probabilities(
            MODEL["classes"], row, time_s, time_s - 2 * MODEL["lag_s"]
        )
        found += tracker.push(prediction)
    found += tracker.finish()
    return [(one.label, one.start_s, one.end_s, one.score) for one in found]


@pytest.mark.parametrize("seed", range(4))
def test_with_both_sliders_in_the_middle_the_events_are_those_of_timeline(run, seed):
    times_s = [1 + at / 12 for at in range(400)]
    scores = random_scores(seed)
    found = run(
        "answers.readAll(model, settings, times_s, scores).events",
        model=MODEL,
        settings=MIDDLE,
        times_s=times_s,
        scores=scores.tolist(),
    )
    wanted = events_of_the_command(times_s, scores)
    assert len(wanted) > 5
    assert [one["label"] for one in found] == [label for label, *_ in wanted]
    values = [[one["start_s"], one["end_s"], one["score"]] for one in found]
    np.testing.assert_allclose(values, [numbers for _, *numbers in wanted], atol=1e-9)


def test_a_label_does_not_change_for_two_samples_of_another_action(run):
    flicker = [[0.05, 0.9, 0.05]] * 2
    scores = [ONE_SURE] * 20 + flicker + [ONE_SURE] * 20
    assert labels(run, scores) == ["wave"]


def test_below_the_threshold_the_label_names_what_it_may_be(run):
    assert labels(run, [TORN] * 20) == ["not sure: wave or clap"]
    alone = [0.46, 0.2, 0.17, 0.17]
    model = MODEL | {"classes": ["wave", "clap", "jump", "nothing in particular"]}
    assert labels(run, [alone] * 20, model=model) == ["not sure: perhaps wave"]


def test_a_sure_label_stays_sure_a_little_below_the_threshold(run):
    nearly = [0.45, 0.4, 0.15]
    assert labels(run, [ONE_SURE] * 20 + [nearly] * 30) == ["wave"]
    assert labels(run, [nearly] * 30) == ["not sure: wave or clap"]


def test_more_likely_than_all_others_is_sure_whatever_whole_clips_need(run):
    likely = [0.55, 0.35, 0.1]
    assert labels(run, [likely] * 20, model=MODEL | {"threshold": 0.9}) == ["wave"]
    assert labels(run, [TORN] * 20, model=MODEL | {"threshold": 0.45}) == ["wave"]
    assert labels(run, [TORN] * 20, model=MODEL | {"threshold": None}) == ["not sure: wave or clap"]


def test_sensitivity_decides_from_which_score_a_label_is_sure(run):
    bold, careful = MIDDLE | {"sensitivity": 0.9}, MIDDLE | {"sensitivity": 0.1}
    assert labels(run, [TORN] * 20, bold) == ["wave"]
    assert labels(run, [[0.7, 0.2, 0.1]] * 20, careful) == ["not sure: perhaps wave"]


def test_background_decides_how_readily_nothing_is_seen(run):
    even = [0.5, 0.05, 0.45]
    less, more = MIDDLE | {"background": 0.1}, MIDDLE | {"background": 0.9}
    assert labels(run, [even] * 20, more) == ["nothing in particular"]
    assert labels(run, [even] * 20, less) == ["wave"]


def test_the_background_makes_no_event(run):
    found = run(
        "answers.readAll(model, settings, times_s, scores).events.map((event) => event.label)",
        model=MODEL,
        settings=MIDDLE,
        times_s=[at / 10 for at in range(60)],
        scores=[QUIET] * 20 + [ONE_SURE] * 20 + [QUIET] * 20,
    )
    assert found == ["wave"]


def test_samples_without_scores_and_gaps_in_time_begin_anew(run):
    assert labels(run, [None] * 5 + [ONE_SURE] * 10) == ["watching…", "wave"]
    shown = run(
        "answers.readAll(model, settings, times_s, scores).answers.map(answers.words)",
        model=MODEL,
        settings=MIDDLE,
        times_s=[0.0, 0.1, 0.2, 9.0],
        scores=[ONE_SURE, ONE_SURE, ONE_SURE, [0.05, 0.9, 0.05]],
    )
    assert shown == ["wave", "wave", "wave", "clap"]


def test_a_file_s_answer_is_the_nearest_within_a_second(run):
    found = run(
        "[0.6, 1.4, 9].map((time_s) => answers.answerAt(answers.readAll(model, settings,"
        " times_s, scores).answers, time_s)?.centre_s ?? null)",
        model=MODEL,
        settings=MIDDLE,
        times_s=[1.0, 2.0],
        scores=[ONE_SURE, ONE_SURE],
    )
    assert found == [0.5, 1.5, None]


def test_several_actions_at_once_are_named_together_by_their_own_thresholds(run):
    model = MODEL | {"thresholds": {"wave": 0.4, "clap": 0.6, "nothing in particular": 0.5}}
    rows = [[0.1, 0.2, 0.9]] * 8 + [[0.7, 0.8, 0.1]] * 8 + [[0.5, 0.3, 0.1]] * 8
    shown = labels(run, rows, model=model)
    assert shown[0] == "nothing"  # the background is no name
    assert "clap + wave" in shown
    assert shown[-1] == "wave"


def test_a_run_s_own_levels_decide_where_events_begin(run):
    rows = [QUIET] * 10 + [[0.5, 0.2, 0.3]] * 10 + [QUIET] * 10
    strict = MODEL | {"levels": {"enter": 0.6, "exit": 0.3, "min_event_s": 0.4}}
    for model, count in ((MODEL, 1), (strict, 0)):
        found = run(
            "answers.readAll(model, settings, times_s, scores).events",
            model=model, settings=MIDDLE, times_s=[at / 10 for at in range(30)], scores=rows,
        )  # fmt: skip
        assert len(found) == count
