import json
import runpy
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from action_gru.backbone.spec import FRAME_VIEWS
from action_gru.config import Config, build_config, check_files, json_schema, load_config, to_yaml
from action_gru.config.section import DATA_KINDS
from action_gru.config.sinks import SINKS, SinkSection
from action_gru.core.errors import ConfigError, DataError
from action_gru.features.source import data_source
from action_gru.model.cells import CELLS
from action_gru.views.pictures import VIEWS

ROOT = Path(__file__).parents[1]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def one_of(*names: str) -> str:
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}"


WRONG = [
    ("model.hiden_size=3", "unknown key 'model.hiden_size'; did you mean 'model.hidden_size'"),
    ("hidden_size=3", "unknown key 'hidden_size'; did you mean 'model.hidden_size'"),
    ("[a=3", r"unknown key '\[a'; known here: run, data"),
    ("zzz=3", "unknown key 'zzz'; known here: run, data"),
    ("training.seed=x", "training.seed: should be a valid integer, got 'x'"),
    ("training.learning_rate='1e-3'", "learning_rate: should be a valid number, got '1e-3'"),
    (
        "features.views=[rgb, depth]",
        f"views.1: should be {one_of(*VIEWS, *FRAME_VIEWS)}, got 'depth'",
    ),
    ("features.views=[]", r"features.views: .*at least 1"),
    ("features.views=[rgb, rgb]", "names a view twice"),
    ("features.image_size=100", "should be 'auto' or should be a multiple of 32, got 100"),
    ("features.device=gpu", "should be auto, cpu, mps, cuda or cuda:N, got 'gpu'"),
    ("features.flip=no", "features.flip: should be a valid boolean, got 'no'"),
    ("model.cell=GRU", f"model.cell: should be {one_of(*CELLS, 'none')}, got 'GRU'"),
    (
        "model.closed_form=maybe",
        "closed_form=maybe': model.closed_form: should be 'auto' or should be a valid boolean, got",
    ),
    ("model=3", "model: should be an object, got 3"),
    ("sampling.fps=-1", "sampling.fps: should be greater than 0, got -1"),
    ('data.classes=["a\\n", b]', "classes are printable names"),
    ("data.classes=[a]", "classes needs at least two names"),
    ("run.name=../x", r"override 'run.name=../x': run.name: should be a name of letters"),
    ("events.background=01", r"background: should be a valid array \(write \[01\]\), got '01'"),
    ("events.sinks=[{kind: csb, path: a}]", "sinks.0: .*'csb' .* 'csv', 'clip', 'sound'"),
    ("events.sinks=[{kind: csv, path: a, colldown: 1}]", "sinks.0.colldown'; did you mean 'cool"),
    ("events.sinks=[{kind: mqtt, url: http://a}]", "sinks.0.url: should be .* mqtt://host/name, "),
    ("events.sinks=[{kind: mqtt, url: mqtt://u:p@a}]", "sinks.0.url: holds a password"),
    ("events.sinks=[{kind: mqtt, url: 'mqtt://a/#'}]", "sinks.0.url: names a topic"),
    ("events.sinks=[{kind: csv, path: a, hours: 25:00-6:00}]", "hours: should be hours of the day"),
    ("events.sinks=[{kind: csv, path: a, zone: [[0, 0], [1, 2], [1, 0]]}]", "zone.1.1: should be"),
    ("events.sinks=[{kind: csv, path: a, weekdays: [Mon]}]", "did you mean 'mon'"),
    ("events.sinks=[{kind: clip, path: a, longest_s: 10}]", "longest_s must be more than before"),
    ("events.background=[a: b]", r"background.0: should be a valid string \(in quotes"),
]


@pytest.mark.parametrize(("override", "said"), WRONG)
def test_a_wrong_value_names_its_key_what_is_allowed_and_what_was_given(override, said):
    with pytest.raises(ConfigError, match=said):
        build_config({}, [override])


def test_a_wrong_override_is_blamed_and_not_the_file(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("training: {epochs: 3}\nmodel: {hidden_size: big}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file, ["training.epochs=abc", "training.sed=1"])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{file}: model.hidden_size: ")
    assert lines[1].startswith("override 'training.epochs=abc': training.epochs: should be a valid")
    assert lines[2].startswith("override 'training.sed=1': unknown key 'training.sed'; did you")


def test_a_mistake_is_one_line_and_names_its_key():
    for override in ("features.views=[rbg]", "series.horizon=5"):
        with pytest.raises(ConfigError) as caught:
            build_config({}, [override])
        (line,) = str(caught.value).splitlines()
        blamed = f"override '{override}': features.views.0: ", "config: data.kind: "
        assert line.startswith(blamed)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        build_config({"model": {"cell": 1}, "training": {"epochs": 0}, "x": 1})
    assert len(str(caught.value).splitlines()) == 3


# Ten lines of nine aliases each: a billion values, were they written out.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghij")
)
MERGES = "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model:\n\tcell: gru\n", "line 2, column 1 .*spaces, not tabs"),
        ("model:\n  cell: gru\n  cell: lstm\n", "line 3.*'cell' appears twice"),
        ("- a\n", "holds a list; expected sections"),
        ("model: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("a: &x [*x]\n", "nested too deeply, or in itself"),
        ("a: " + "[" * 50_000, "nested too deeply"),
        (BOMB, "line 3.*uses more than 16 aliases"),
        (BOMB + "? *j\n: 1\n", "line 3.*uses more than 16 aliases"),
        ("a: &a {k: 1}\n" + MERGES, "line 3.*uses more than 16 aliases"),
        ("x" * 300_000, "longer than 262144 characters"),
        ("data: 2001-99-99\n", "holds a value that cannot be read .month must be"),
        ("data: !!timestamp x\n", "holds a value that cannot be read"),
        (f"training: {{seed: {'9' * 5000}}}\n", "holds a value that cannot be read"),
        ("run: {name: a\0}\n", "special characters are not allowed"),
        ("model: {cell: gru\n", "is not valid YAML"),
    ],
)
def test_yaml_that_cannot_be_read_says_where(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path, text))


def test_numbers_and_words_mean_what_people_mean(tmp_path):
    config = load_config(
        write(tmp_path, "training: {learning_rate: 1e-3}\ndata: {classes: [yes, no, on]}\n")
    )
    assert config.training.learning_rate == 0.001
    assert config.data.classes == ("yes", "no", "on")


def test_overrides_lie_over_the_file(tmp_path):
    path = write(tmp_path, "model: {cell: lstm}\n")
    config = load_config(path, ["model.cell=rnn", "features.views=[motion]", "training.seed=7"])
    assert (config.model.cell, config.features.views, config.training.seed) == (
        "rnn",
        ("motion",),
        7,
    )


def test_a_path_in_an_override_is_taken_as_it_stands():
    config = build_config({}, ["data.manifest=c #1/a: b.csv", "data.root=null"])
    assert (config.data.manifest, config.data.root) == (Path("c #1/a: b.csv"), None)


# Words that YAML makes numbers, booleans, dates and nothing of; 12:30 would be 750.
NAMES = ["01", "1", "true", "no", "1.0", "2024-01-01", "null", "~", "12:30", "0x1F", "1e5", ".inf"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "key", ["events.background", "data.classes", "series.channels", "people.classes"]
)
def test_a_name_without_quotes_is_the_text_that_was_typed(tmp_path, key, name):
    section, _, leaf = key.partition(".")
    said = build_config({}, [f"{key}=[{name}, other]"])
    read = load_config(write(tmp_path, f"{section}:\n  {leaf}:\n  - {name}\n  - other\n"))
    assert getattr(getattr(said, section), leaf) == (name, "other")
    assert read == said


def test_names_are_text_in_mappings_single_values_and_whole_sections():
    templates = build_config({}, ["describe.templates={01: 5, true: no}"]).describe.templates
    assert templates == {"01": "5", "true": "no"}
    assert build_config({}, ["describe.templates.01=7"]).describe.templates == {"01": "7"}
    assert build_config({}, ["run={name: 007}"]).run.name == "007"
    assert build_config({}, ["features.weights_sha256=" + "1" * 64]).features.weights_sha256
    assert build_config({}, ["data.classes=null"]).data.classes is None


def test_one_anchor_is_a_number_where_a_number_is_wanted_and_text_where_text_is(tmp_path):
    text = "training: {seed: &x 07}\nrun: {name: *x}\ndata: {classes: [*x, b]}\n"
    config = load_config(write(tmp_path, text))
    assert (config.training.seed, config.run.name, config.data.classes) == (7, "07", ("07", "b"))


MEANT = [
    ("epochs=5", "'epochs'; did you mean 'training.epochs'?"),
    ("fps=5", "'fps'; did you mean 'sampling.fps'?"),
    ("features.fps=5", "'features.fps'; did you mean 'sampling.fps'?"),
    ("Epochs=5", "'Epochs'; did you mean 'training.epochs'?"),
    ("learningrate=1", "did you mean 'training.learning_rate'?"),
    ("model.learning-rate=1", "did you mean 'training.learning_rate'?"),
    ("lr=1", "did you mean 'training.learning_rate'?"),
    ("batch=8", "did you mean 'features.batch_size' or 'training.batch_size'?"),
    ("weights=x", "'features.weights', 'detection.weights' or 'pose.weights'?"),
    ("train.epochs=5", "unknown key 'train'; did you mean 'training'?"),
    ("optimizer.weight_decay=0", "'optimizer'; did you mean 'training.weight_decay'?"),
]


@pytest.mark.parametrize(("override", "said"), MEANT)
def test_an_unknown_key_is_looked_for_in_every_section(override, said):
    with pytest.raises(ConfigError) as caught:
        build_config({}, [override])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training: {learningrate: 1}\n", "did you mean 'training.learning_rate'?"),
        ("features: {fps: 5}\n", "did you mean 'sampling.fps'?"),
        ("training.epochs: 5\n", "it stands in its section, as training: {epochs: ...}"),
    ],
)
def test_an_unknown_key_of_a_file_is_looked_for_as_well(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert said in str(caught.value)


@pytest.mark.parametrize("override", ["training.seed", "=3", ".a=3", "training..seed=3"])
def test_an_override_without_key_or_value_is_refused(override):
    with pytest.raises(ConfigError, match="expected key=value"):
        build_config({}, [override])


def test_an_override_through_a_value_is_refused():
    with pytest.raises(ConfigError, match="'seed' holds a value, not a section"):
        build_config({"training": {"seed": 1}}, ["training.seed.x=3"])


def test_a_missing_file_says_where_it_was_looked_up(tmp_path):
    with pytest.raises(ConfigError, match=rf"looked up as {tmp_path}/no.yaml"):
        load_config(tmp_path / "no.yaml")
    config = build_config({"data": {"manifest": str(tmp_path / "clips.csv")}})
    with pytest.raises(
        ConfigError, match=rf"data.manifest: no file at .*looked up as {tmp_path}/clips"
    ):
        check_files(config)
    with pytest.raises(ConfigError, match=r"data.manifest is not set"):
        check_files(Config())
    (tmp_path / "clips.csv").write_text("path,label\n")
    with pytest.raises(ConfigError, match=r"features.weights: no file at weights/x.pt"):
        check_files(build_config(config.to_tree(), ["features.weights=weights/x.pt"]))
    with pytest.raises(ConfigError, match=r"data.root: no folder at nowhere"):
        check_files(build_config(config.to_tree(), ["data.root=nowhere"]))


def test_the_tree_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Config().training.seed = 3  # type: ignore[misc]


@given(
    seed=st.integers(0, 2**31 - 1),
    rate=st.floats(1e-6, 1.0),
    cell=st.sampled_from(["gru", "lstm", "rnn", "none"]),
    classes=st.lists(
        st.text(min_size=1).filter(str.isprintable), min_size=2, max_size=5, unique=True
    ),
)
@example(seed=0, rate=1.0, cell="gru", classes=["0E0", "1e5", "true", "no", "1_0.5", "+1e1"])
def test_what_is_printed_is_read_back_equal(tmp_path_factory, seed, rate, cell, classes):
    tree = {
        "training": {"seed": seed, "learning_rate": rate},
        "model": {"cell": cell},
        "data": {"classes": classes},
    }
    config = build_config(tree)
    path = tmp_path_factory.mktemp("printed") / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(path) == config


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_loads_and_opens_with_its_command(path):
    load_config(path)
    text = path.read_text()
    assert text.startswith(f"# action-gru train configs/{path.name}") or "make demo" in text
    assert "$schema=schema.json" in text


def test_a_shipped_config_is_found_from_anywhere_and_a_users_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = Path("configs") / "people.yaml"
    assert load_config(named).run.name == "people"
    (tmp_path / "configs").mkdir()
    (tmp_path / named).write_text("run: {name: mine}\n")
    assert load_config(named).run.name == "mine"
    with pytest.raises(ConfigError, match=r"people\.yaml"):
        load_config("people.yaml")


def test_the_committed_schema_is_the_current_one():
    committed = (ROOT / "configs" / "schema.json").read_text()
    assert committed == json_schema(), "run: action-gru config --schema configs/schema.json"
    described = json.loads(committed)["$defs"]["TrainingSection"]["properties"]["learning_rate"]
    assert "warm-up" in described["description"]


def test_the_committed_reference_is_the_current_one_and_explains_each_key():
    script = runpy.run_path(str(ROOT / "scripts" / "write_config_reference.py"))
    committed = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert committed == script["page"](), "run: python scripts/write_config_reference.py"
    rows = [line for line in committed.splitlines() if line.startswith("| `")]
    shared = len(SinkSection.model_fields) + 1  # their kind is in the heading
    of_sinks = sum(len(one.model_fields) - shared for one in SINKS.values()) + shared - 1
    assert len(rows) == sum(len(section) for section in Config().to_tree().values()) + of_sinks
    assert [row for row in rows if row.endswith("|  |")] == []


def test_a_removed_key_of_an_older_run_is_left_out(capfd):
    assert build_config({"training": {"mixup": 0.0}}) == build_config({})
    assert capfd.readouterr().err == ""
    assert build_config({"training": {"mixup": 0.4}}) == build_config({})
    said = "training.mixup was removed, because no data set gained by it; leave it out"
    assert said in capfd.readouterr().err
    with pytest.raises(ConfigError, match=said):
        build_config({}, ["training.mixup=0.4"])


@pytest.mark.parametrize("kind", DATA_KINDS)
def test_every_kind_of_data_has_its_source(kind, tmp_path):
    config = build_config({"data": {"kind": kind, "manifest": str(tmp_path / "none.csv")}})
    with pytest.raises(DataError, match=r"no (table|manifest) at .*none\.csv"):
        data_source(config).clips()


def test_a_kind_of_data_that_is_none_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"data\.kind: should be 'video', 'table' or 'arrays'"):
        build_config({"data": {"kind": "audio"}})
