"""The card: `datasets` loads by it, its figures are those of the runs, and nothing that a model wrote is more than text in it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from selfinstruct.catalogue.card import TRIAL, Facts, card
from selfinstruct.catalogue.diff import Diff
from selfinstruct.catalogue.head import head
from selfinstruct.catalogue.place import Published
from selfinstruct.catalogue.version import DIFF, FIGURES, VIEWS, Licences, Ref
from selfinstruct.figures.model import Example, Figures
from tests.support.published import make_catalogue
from tests.text.test_markdown import HOSTILE

Tokens = list[Any]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return make_catalogue(tmp_path_factory.mktemp("card"), versions=2, n=30).version(Ref("tiny", 2))


@pytest.fixture
def facts(published: Published) -> Facts:
    """What the card of the version was made of."""
    figures = Figures.model_validate_json(published.text(FIGURES))
    diff = Diff.model_validate_json(published.text(DIFF[0]))
    return Facts(published.manifest, figures, seed=43, diff=diff)


def _tokens(text: str) -> Tokens:
    """Return all tokens of the card's body, as GitHub and the Hub read it."""
    _, yaml, body = text.split("---\n", 2)
    assert "pretty_name" in yaml
    found = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    return [token for block in found for token in (block, *(block.children or ()))]


def _markup(tokens: Tokens) -> list[tuple[str, str]]:
    """Return everything that is not text, with where it points to."""
    return [
        (one.type, one.attrs.get("href") or one.attrs.get("src") or "")
        for one in tokens
        if one.type not in {"text", "softbreak"}
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("view", VIEWS)
def test_datasets_loads_every_view(
    published: Published, view: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By its name, with the features and the number of rows that the head tells, and without a word of complaint."""
    import datasets

    assert published.folder is not None
    with caplog.at_level(logging.WARNING):
        rows = datasets.load_dataset(str(published.folder), view, split="train", cache_dir=str(tmp_path))
    assert rows.num_rows == published.manifest.rows[view]
    assert {name: feature.dtype for name, feature in rows.features.items()} == VIEWS[view]
    assert "Ignoring" not in caplog.text


@pytest.mark.filterwarnings("ignore")
def test_sft_is_what_is_loaded_where_no_view_is_named(published: Published, tmp_path: Path) -> None:
    """The default config."""
    import datasets

    found = datasets.load_dataset(str(published.folder), cache_dir=str(tmp_path))
    assert found["train"]["id"] == [row["id"] for row in published.rows("sft")]


def test_the_hub_reads_the_head(published: Published) -> None:
    """Licence, size, language, tags and one config for each view, as huggingface_hub parses a card."""
    from huggingface_hub import DatasetCard

    data = vars(DatasetCard(published.text("README.md")).data)
    assert (data["license"], data["language"], data["size_categories"]) == ("cc0-1.0", ["en"], ["n<1K"])
    assert {"synthetic", "preference", "trial"} <= set(data["tags"])
    assert [one["config_name"] for one in data["configs"]] == list(VIEWS)
    assert [one["config_name"] for one in data["configs"] if one.get("default")] == ["sft"]


def test_a_view_without_rows_is_no_config(published: Published) -> None:
    """`datasets` cannot load nothing, and must not be asked to."""
    files = {name: file for name, file in published.manifest.files.items() if not name.startswith("data/preference/")}
    told = head(
        published.manifest.model_copy(update={"files": files, "rows": {**published.manifest.rows, "preference": 0}})
    )
    assert "preference" not in told


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("CC-BY-NC-4.0", {"license": "cc-by-nc-4.0"}),
        (
            "Gemma terms: see ai.google.dev\n---\nx: 1",
            {"license": "other", "license_name": "gemma-terms-see-ai.google.dev-x-1"},
        ),
        ("나만 씀", {"license": "other", "license_name": "see-below"}),
    ],
)
def test_licences_as_the_hub_knows_them(published: Published, said: str, wanted: dict[str, str]) -> None:
    """What the Hub has no name for is `other`, with a name that cannot be anything but a name."""
    from huggingface_hub import DatasetCard

    licences = Licences(dataset=said, writers={}, judges={}, seeds="")
    data = vars(DatasetCard(head(published.manifest.model_copy(update={"licences": licences}))).data)
    assert {name: value for name, value in data.items() if name.startswith("license")} == wanted


def test_figures_of_the_card_are_those_of_the_version(published: Published) -> None:
    """Rows of each view, funnel, drops, cost and score: golden pieces, the numbers from the manifest and from figures.json."""
    text, manifest = published.text("README.md"), published.manifest
    figures = Figures.model_validate_json(published.text(FIGURES))
    assert TRIAL in text
    assert "| `sft` | 60 | 30 | Instructions" in text
    assert f"| `preference` | {manifest.rows['preference']} | {manifest.added['preference']} | " in text
    for label, stage in figures.funnel.items():
        assert (
            f"| `{label}` | {stage.generated} | {stage.accepted} | {stage.dropped} | {stage.failed} | {stage.open} |"
            in text
        )
    for rule, count in figures.drops.items():
        assert f"\n`{rule}`: {count}\n" in text
    assert f"| all | {figures.usage.calls:,} | {figures.usage.prompt_tokens:,} | " in text
    assert f"{figures.scores.total} rows were scored, {figures.scores.mean():.2f} in the mean" in text
    assert "- instructions: `Latin` 100.0%" in text
    assert "[audit.md](audit.md)" in text
    assert "[diff.md](diff.md)" in text


def test_a_card_says_how_to_load_and_to_make_it_again(published: Published) -> None:
    """A version that stands alone is run, one that stands on another is run against it; both with the recipe beside the card."""
    first = published.catalogue.version(Ref("tiny", 1))
    assert 'load_dataset("path/to/tiny/2", "sft", split="train")' in published.text("README.md")
    assert "selfinstruct download tiny@2 --format messages" in published.text("README.md")
    assert "selfinstruct run recipe.yaml -n 30 -o runs/tiny-1\n" in first.text("README.md")
    assert "selfinstruct run recipe.yaml -n 30 --against path/to/tiny/1/data/sft -o runs/tiny-2" in published.text(
        "README.md"
    )
    assert "its seed is 43" in published.text("README.md")
    assert "Against version" not in first.text("README.md")


def test_a_card_names_no_package_of_an_index(published: Published) -> None:
    """A card cannot be changed any more, and the name may be anybody's there: it tells the version, and where it comes from."""
    told = published.text("README.md")
    assert f"# with selfinstruct {published.manifest.made_by}, installed from its repository\n" in told
    assert "pip install" not in told


def test_a_real_version_has_no_banner(facts: Facts) -> None:
    """Only what the scripted engine made is for trying out."""
    told = card(facts._replace(version=facts.version.model_copy(update={"trial": False})))
    assert "For trying out" not in told
    assert "- trial" not in told


def test_links_lead_to_files_of_the_version_only(published: Published) -> None:
    """Nothing in a card leads elsewhere, and every file that it names is there."""
    tokens = _tokens(published.text("README.md"))
    targets = {target for kind, target in _markup(tokens) if kind in {"link_open", "image"}}
    assert {"audit.md", "diff.md", "recipe.yaml"} <= targets <= set(published.manifest.files)


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_hostile_rows_stay_text(facts: Facts, hostile: str) -> None:
    """Put wherever models write (drops, evidence, labels, verbs, names), it changes no mark-up of the card, and no byte of its head."""

    def with_text(text: str) -> str:
        example = Example(id="0", stage=text, text=f"x{text}", figure=f"x{text}", threshold=1, evidence=f"x{text}")
        figures = facts.figures.model_copy(
            update={
                "examples": dict.fromkeys(facts.figures.drops, (example,)),
                "verbs": {f"x{text}": {f"x{text}": 3}},
                "labels": facts.figures.labels.model_copy(update={"labels": {f"x{text}": 3}}),
                "scripts": {f"x{text}": 1},
                "models": {"answer": {f"x{text}": 1}, "judge": {f"x{text}": 1}},
                "usage_by_stage": {f"x{text}": facts.figures.usage},
            }
        )
        licences = facts.version.licences.model_copy(update={"writers": {f"x{text}": f"x{text}"}, "seeds": f"x{text}"})
        version = facts.version.model_copy(update={"licences": licences, "changed": (f"x{text}",)})
        return card(facts._replace(figures=figures, version=version))

    plain, found = with_text("y"), with_text(hostile)
    assert found.split("\n---\n")[0] == plain.split("\n---\n")[0]
    assert _markup(_tokens(found)) == _markup(_tokens(plain))
    assert found.isprintable() or all(one.isprintable() or one == "\n" for one in found)
