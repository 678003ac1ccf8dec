"""Korean rows in a published version, for a search to find; written here."""

from __future__ import annotations

import json
from pathlib import Path

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import _files
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import MANIFEST, VIEWS, Ref

ROWS = [
    ("가을에 걷기 좋은 산책길을 세 곳 추천해 주세요.", "강변 둑길, 오래된 성곽길, 은행나무가 늘어선 골목입니다."),
    (
        "비 오는 날의 시장을 두 문장으로 그려 보세요.",
        "천막을 두드리는 빗소리 아래에서 상인들은 목소리를 낮춘다. 귤 더미만 환하다.",
    ),
    ("다음 문장을 높임말로 바꾸세요.", "할머니께서 저에게 편지를 주셨습니다."),
    ("값을 흥정할 때 쓸 만한 말을 하나 알려 주세요.", "조금만 깎아 주시면 두 개를 살게요."),
]


def add_korean(root: Path, *, name: str = "everyday") -> None:
    """Put rows into the latest version of a catalogue, each with the least of a lineage."""
    published = Catalogue(str(root)).version(Ref(name))
    manifest, folder = published.manifest, Path(published.root)
    earlier = {view: len(manifest.shards(view)) for view in VIEWS}
    with Shards(folder, earlier=earlier) as shards:
        for place, (instruction, output) in enumerate(ROWS):
            one = f"{place:016x}"
            row = {
                "instruction": instruction,
                "input": "",
                "output": output,
                "reasoning": "",
                "is_classification": False,
                "score": 4.5,
            }
            made = {
                "raw_score": 4.5,
                "model": "scripted",
                "judge": "scripted",
                "flags": "own_family",
                "version": manifest.version,
            }
            shards.add("sft", {"id": one, **row, **made})
            steps = [
                {
                    "id": "f" * 16,
                    "stage": "bootstrap",
                    "path": "9.0",
                    "fate": "accepted",
                    "record": {"text": instruction, "shown": []},
                    "calls": [],
                }
            ]
            shards.add(
                "lineage", {"id": one, "lineage": json.dumps(steps, ensure_ascii=False), "version": manifest.version}
            )
    files = {
        **manifest.files,
        **_files(folder, shards.rows, known={**manifest.files, MANIFEST: manifest.files["recipe.yaml"]}),
    }
    rows = {**manifest.rows, "sft": manifest.rows["sft"] + len(ROWS), "lineage": manifest.rows["lineage"] + len(ROWS)}
    added = {**manifest.added, "sft": manifest.added["sft"] + len(ROWS)}
    told = manifest.model_copy(update={"files": files, "rows": rows, "added": added})
    (folder / MANIFEST).write_text(told.model_dump_json(indent=2) + "\n", encoding="utf-8")
