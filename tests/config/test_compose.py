"""Configurations made of parts: what is read, in which order, and what goes over what."""

import copy
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.config.compose import compose
from idiff.config.merge import merge
from idiff.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        return tmp_path

    return write


# --- what is included, and where


def test_keys_beside_an_include_go_over_it(write):
    folder = write(base="lr: 1\nbatch: 2", top="lr: 3\ninclude: base.yaml")
    assert compose([f"{folder}/top.yaml"]) == {"lr": 3, "batch": 2}


def test_later_includes_go_over_earlier_ones(write):
    folder = write(one="a: 1\nb: 1", two="b: 2\nc: 2", top="include: [one.yaml, two.yaml]\nc: 3")
    assert compose([f"{folder}/top.yaml"]) == {"a": 1, "b": 2, "c": 3}


def test_an_include_may_stand_at_any_level(write):
    folder = write(
        leaf="steps: 4\nscale: {text: 1, image: 2}",
        top="""
            outer:
              - {include: leaf.yaml, steps: 9}
              - inner: {include: leaf.yaml, scale: {image: 5}}
        """,
    )
    assert compose([f"{folder}/top.yaml"]) == {
        "outer": [
            {"steps": 9, "scale": {"text": 1, "image": 2}},
            {"inner": {"steps": 4, "scale": {"text": 1, "image": 5}}},
        ]
    }


def test_paths_are_relative_to_the_file_that_names_them(write, monkeypatch):
    folder = write(
        stage__base="a: 1",
        task__leaf="weight: 2",
        task__entry="include: leaf.yaml",
        top="include: stage/base.yaml\ndata: {tasks: {x: task/entry.yaml}}",
        deeper__top="include: ../top.yaml",
    )
    expected = {"a": 1, "data": {"init_args": {"tasks": {"x": {"weight": 2}}}}}
    assert compose([f"{folder}/deeper/top.yaml"]) == expected
    monkeypatch.chdir(folder / "task")
    assert compose(["../deeper/top.yaml"]) == expected


def test_an_entry_of_tasks_may_be_a_path(write):
    folder = write(
        faces="weight: 2",
        top="tasks: {faces: faces.yaml, clothes: {include: faces.yaml, train: here}, plain: {weight: 1}}",
    )
    assert compose([f"{folder}/top.yaml"])["tasks"] == {
        "faces": {"weight": 2},
        "clothes": {"weight": 2, "train": "here"},
        "plain": {"weight": 1},
    }


def test_only_entries_of_tasks_are_paths(write):
    folder = write(faces="weight: 2", top="tasks: [faces.yaml]\nother: {faces: faces.yaml}")
    assert compose([f"{folder}/top.yaml"]) == {"tasks": ["faces.yaml"], "other": {"faces": "faces.yaml"}}


def test_one_file_may_be_included_twice(write):
    folder = write(leaf="x: 1", top="a: {include: leaf.yaml}\nb: {include: leaf.yaml, x: 2}")
    assert compose([f"{folder}/top.yaml"]) == {"a": {"x": 1}, "b": {"x": 2}}


def test_schema_keys_are_left_out_of_every_file(write):
    folder = write(
        leaf="$schema: leaf.json\nx: 1", top="$schema: top.json\na: {include: leaf.yaml}\nb: {$schema: kept}"
    )
    assert compose([f"{folder}/top.yaml"]) == {"a": {"x": 1}, "b": {"$schema": "kept"}}


def test_an_empty_file_says_nothing(write):
    folder = write(empty="# only words\n", top="include: empty.yaml\na: 1")
    assert compose([f"{folder}/empty.yaml"]) == {}
    assert compose([f"{folder}/top.yaml"]) == {"a": 1}
    assert compose([]) == {}


# --- several files


def test_a_second_file_changes_single_values(write):
    """LightningCLI alone would replace the whole of `tasks`."""
    folder = write(
        one="data: {tasks: {faces: {train: a, weight: 1}, clothes: {train: b}}}\nlr: 1",
        two="data: {tasks: {faces: {weight: 5}, hands: {train: c}}}",
    )
    assert compose([f"{folder}/one.yaml", f"{folder}/two.yaml"]) == {
        "data": {
            "init_args": {
                "tasks": {"faces": {"train": "a", "weight": 5}, "clothes": {"train": "b"}, "hands": {"train": "c"}}
            }
        },
        "lr": 1,
    }


def test_the_order_of_files_decides(write):
    folder = write(one="a: 1", two="a: 2")
    one, two = f"{folder}/one.yaml", f"{folder}/two.yaml"
    assert compose([one, two]) == {"a": 2}
    assert compose([two, one]) == {"a": 1}


# --- what cannot be read is one sentence that names the file


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["top.yaml is missing", "expected a YAML file"]),
        ({"top": "include: gone.yaml"}, ["gone.yaml is missing, included by", "top.yaml"]),
        ({"top": "tasks: {faces: gone.yaml}"}, ["gone.yaml is missing, included by", "top.yaml"]),
        ({"top": "include: top.yaml"}, ["includes itself", "Take one include out"]),
        ({"top": "a: {include: b.yaml}", "b": "tasks: {x: c.yaml}", "c": "include: top.yaml"}, ["top.yaml", "->", "c.yaml"]),
        ({"top": "- 1\n- 2"}, ["top.yaml holds list", "expected a mapping"]),
        ({"top": "just words"}, ["top.yaml holds str"]),
        ({"top": "a: [1"}, ["top.yaml is not valid YAML", "line 1"]),
        ({"top": "a: !!python/object/apply:os.system ['true']"}, ["top.yaml is not valid YAML"]),
        ({"top": "include: 3"}, ["top.yaml: include is 3", "expected a path"]),
        ({"top": "include: [b.yaml, {c: 1}]", "b": "a: 1"}, ["include is {'c': 1}"]),
        ({"top": "include:"}, ["include is None"]),
        ({"top": "include: ."}, ["cannot be read"]),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(write, files, words):
    folder = write(**files)
    with pytest.raises(ConfigError) as caught:
        compose([f"{folder}/top.yaml"])
    sentence = str(caught.value)
    assert all(word in sentence for word in words), sentence
    assert "\n" not in sentence


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "top.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match=r"top\.yaml cannot be read"):
        compose([f"{tmp_path}/top.yaml"])


# --- the laws of merging

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
TREES = st.recursive(
    st.dictionaries(st.sampled_from("pq"), LEAVES),
    lambda inner: (
        st.dictionaries(st.sampled_from("pq"), LEAVES)
        | st.fixed_dictionaries({}, optional={"p": LEAVES, "A": inner, "B": inner})
    ),
    max_leaves=8,
)
"""Mappings in which capital keys always hold mappings and small ones never do, as in a configuration."""

ANY = st.recursive(
    LEAVES, lambda inner: st.dictionaries(st.sampled_from(["p", "q", "class_path"]), inner, max_size=3), max_leaves=8
)
laws = settings(max_examples=200, deadline=None, derandomize=True)


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@laws
@given(TREES)
def test_nothing_changes_nothing(tree):
    assert merge(tree, {}) == tree
    assert merge({}, tree) == tree
    assert merge(tree, tree) == tree


@laws
@given(TREES, TREES, TREES)
def test_three_files_merge_from_either_end(one, two, three):
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@laws
@given(TREES, TREES)
def test_the_upper_file_holds_and_the_lower_fills_in(base, over):
    merged = dict(leaves(merge(base, over)))
    above = {path: value for path, value in leaves(over) if value != {}}
    below = {path: value for path, value in leaves(base) if value != {}}
    assert {path: value for path, value in merged.items() if value != {}} == below | above


@laws
@given(ANY, ANY)
def test_merging_changes_neither_side(base, over):
    before = copy.deepcopy((base, over))
    merge(base, over)
    assert (base, over) == before


@laws
@given(TREES, TREES, st.sampled_from(["a.One", "a.Two"]))
def test_arguments_of_another_class_are_dropped(base, over, name):
    lower = {"class_path": "a.One", "init_args": base}
    upper = {"class_path": name, "init_args": over}
    expected = merge(base, over) if name == "a.One" else over
    assert merge(lower, upper) == {"class_path": name, "init_args": expected}
    assert merge(lower, {"init_args": over}) == {"class_path": "a.One", "init_args": merge(base, over)}


def test_lists_and_nulls_replace():
    assert merge({"a": [1, 2], "b": {"c": 1}}, {"a": [3], "b": None}) == {"a": [3], "b": None}
