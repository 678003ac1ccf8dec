"""The peer's side of `throughput.py`: an instruction, four answers, a verdict on each, with distilabel 1.5.3 in its own words.

Runs in distilabel's own environment and imports nothing of ours. A verdict here is text that is not read: only the calls
matter, six a row (nine answers); our chat recipe makes seven (ten).
"""

from __future__ import annotations

import argparse

from distilabel.models import OpenAILLM  # type: ignore[import-not-found]
from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
from distilabel.steps import LoadDataFromDicts  # type: ignore[import-not-found]
from distilabel.steps.tasks import TextGeneration  # type: ignore[import-not-found]

ASK = "Write one instruction that a person could give to an assistant. It is about {{ topic }}. Write nothing else."
JUDGE = (
    "Task:\n{{ task }}\n\nAnswer:\n{{ answer }}\n\nScore the answer from 0 to 5 for its accuracy, then give a reason."
)


def build(options: argparse.Namespace) -> Pipeline:
    """Return the pipeline; `batch` 0 leaves distilabel's own (50 rows)."""
    how: dict[str, object] = {"input_batch_size": options.batch} if options.batch else {}

    def model(tokens: int) -> OpenAILLM:
        settings = {"max_new_tokens": tokens, "temperature": 1.0}
        return OpenAILLM(model="busy", base_url=options.base_url, api_key="none", generation_kwargs=settings)

    with Pipeline(name="peer") as pipeline:
        load = LoadDataFromDicts(data=[{"topic": f"subject {number}"} for number in range(options.rows)])
        ask = TextGeneration(
            name="ask", llm=model(2048), template=ASK, columns=["topic"], output_mappings={"generation": "task"}, **how
        )
        respond = TextGeneration(
            name="respond",
            llm=model(1024),
            num_generations=4,
            template="{{ task }}",
            columns=["task"],
            output_mappings={"generation": "answer"},
            **how,
        )
        judge = TextGeneration(name="judge", llm=model(256), template=JUDGE, columns=["task", "answer"], **how)
        load >> ask >> respond >> judge
    return pipeline


def main() -> None:
    """Run it, and fail when rows are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--batch", type=int, default=0)
    options = parser.parse_args()
    made = build(options).run(use_cache=False)["default"]["train"]
    whole = sum(bool(verdict) for verdict in made["generation"])
    print(f"{len(made)} judged answers, {whole} with a verdict")
    if len(made) != 4 * options.rows:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
