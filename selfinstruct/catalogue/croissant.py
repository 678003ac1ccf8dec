"""A version in Croissant (docs.mlcommons.org/croissant): JSON-LD for searches and loaders. Knows the manifest alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selfinstruct.catalogue.version import VIEWS

if TYPE_CHECKING:
    from selfinstruct.catalogue.version import File, Version

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
TYPES = {"string": "sc:Text", "bool": "sc:Boolean", "float64": "cr:Float64", "int32": "cr:Int32"}
"""Arrow type -> Croissant's."""
FORMATS = {".parquet": "application/x-parquet", ".json": "application/json", ".yaml": "application/yaml",
           ".md": "text/markdown", ".svg": "image/svg+xml"}  # fmt: skip
"""Suffix -> media type; all else is `application/octet-stream`."""
_TERMS = """
citeAs column conformsTo containedIn data dataType equivalentProperty examples extract field fileObject
fileProperty fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path readLines recordSet
references regex repeated replace samplingRate separator source subField transform unArchive value
"""
"""Words of Croissant's own that stand in a description."""
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
ABOUT = {
    "sft": "Instructions with their inputs and answers, to train on.",
    "preference": "Two answers to one instruction, the better one first.",
    "dropped": "What was made and decided against, with rule, figure and threshold.",
    "seeds": "The tasks from which all others grew; whose they are, the licence of the seeds tells.",
    "lineage": "Where each row came from: prompts, answers, verdicts, as JSON.",
}
"""View -> what it holds."""


def croissant(version: Version) -> str:
    """Return it: a FileObject for each file, a FileSet and a RecordSet for each view; paths are inside of the version."""
    views = [view for view in VIEWS if version.shards(view)]
    made = "by the scripted engine, for trying out," if version.trial else "by language models"
    made = "that was given, judged " + made if version.licences.source else f"made {made} from seed tasks"
    data = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": version.name,
        "description": f"Instruction data {made}: {version.rows.get('sft', 0):,} rows, "
        f"{version.rows.get('preference', 0):,} preference pairs.",
        "version": f"{version.version}.0.0",
        "datePublished": version.created[:10],
        "license": version.licences.dataset,
        "citeAs": f"{version.name}, version {version.version} ({version.created[:10]}), made with selfinstruct {version.made_by}",
        "inLanguage": version.language,
        "keywords": ["synthetic", "self-instruct", "instruction tuning"],
        "distribution": [
            *(_file(name, file) for name, file in version.files.items()),
            *(_files(view) for view in views),
        ],
        "recordSet": [_records(view) for view in views],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _file(name: str, file: File) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": FORMATS.get(name[name.rfind(".") :], "application/octet-stream"),
        "sha256": file.sha256,
    }


def _files(view: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{view}-files",
        "name": f"{view}-files",
        "encodingFormat": FORMATS[".parquet"],
        "includes": f"data/{view}/*.parquet",
    }


def _records(view: str) -> dict[str, Any]:
    keys = ("id", "version") if view == "seeds" else ("id",)  # a seed that was changed may keep its id
    key = [{"@id": f"{view}/{name}"} for name in keys]
    return {
        "@type": "cr:RecordSet",
        "@id": view,
        "name": view,
        "description": ABOUT[view],
        "key": key if len(key) > 1 else key[0],
        "field": [_field(view, name, kind) for name, kind in VIEWS[view].items()],
    }


def _field(view: str, name: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{view}/{name}",
        "name": name,
        "dataType": TYPES[kind],
        "source": {"fileSet": {"@id": f"{view}-files"}, "extract": {"column": name}},
    }
