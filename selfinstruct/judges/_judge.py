"""What all judges are: a rubric, an engine, and what becomes of a judge of the writer's own family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import Field

from selfinstruct import families as kin
from selfinstruct import rubrics
from selfinstruct.engines.base import Ability, Completion, JsonSchema, Reply, user
from selfinstruct.errors import UnreadableError
from selfinstruct.judges import _verdict as verdict
from selfinstruct.records import Record, content_id
from selfinstruct.stage import Stage, unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.engines.base import Constraint, Sampling
    from selfinstruct.stage import Work

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)


class Judge(Stage[In, Out], Generic[In, Out]):
    """A stage that asks what is good. Subclasses say of what, and how the answer is read."""

    engine: str = "judge"
    rubric: str = "accuracy"
    """Name of a shipped rubric, or the path of a file like them."""
    own_family: verdict.OwnFamily = "weigh"
    """What becomes of a judge of the writer's family: weigh (counts half where others vote too), refuse, allow."""
    families: dict[str, str] = Field(default_factory=dict)
    """Model -> family, where a name does not tell it."""

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest score of the rubric."""
        found = rubrics.load(self.rubric, language=self.language or "en")
        return found.lowest, found.highest

    def wants(self) -> AbstractSet[Ability]:
        """Return what its form of answer takes."""
        return {Ability.CHAT, Ability.STRUCTURED}

    def inputs(self, *, language: str) -> dict[str, str]:
        """Return the digests of its prompts and of its rubric."""
        text = rubrics.source(self.rubric, language=self.language or language)
        return {**super().inputs(language=language), f"rubric {self.rubric}": content_id(text)}

    def cautions(self, *, models: Mapping[str, str], writers: Sequence[str]) -> Iterator[str]:
        """Warn of a judge of a writer's family.

        Raises:
            BadInputError: there is one, and `own_family` refuses it.
        """
        judges = {name: models[name] for name in self.engines()}
        writing = {name: models[name] for name in writers}
        yield from verdict.family_cautions(self.label, judges, writing, own_family=self.own_family, table=self.families)

    def own(self, judge: str, writer: str) -> bool:
        """Say whether two models are of one family."""
        return kin.same_family(judge, writer, families=self.families)

    async def ask(
        self,
        work: Work,
        text: str,
        sampling: Sampling,
        constraint: Constraint | None,
        *,
        engine: str = "",
        n: int = 1,
        top_logprobs: int = 0,
    ) -> Reply:
        """Ask for a verdict. A judge that was unreadable at temperature 0 would answer the same again: later tries draw."""
        warmer = {"temperature": max(sampling.temperature, min(1.0, 0.3 * (work.attempt - 1)))}
        return await work.complete(
            user(text),
            sampling.model_copy(update=warmer),
            engine=engine or self.engine,
            n=n,
            constraint=constraint,
            top_logprobs=top_logprobs,
        )


def whole(completion: Completion) -> str:
    """Return the text of a verdict that must be whole to be read.

    Raises:
        UnreadableError: it is cut, or ran away.
    """
    if cut := unfinished(completion):
        msg = f"the verdict is not whole: {cut.rule}"
        raise UnreadableError(msg)
    return completion.text.strip()


def schema(title: str, properties: Mapping[str, object]) -> JsonSchema:
    """Return the constraint of a verdict that is an object with all of `properties`."""
    return JsonSchema(schema_=verdict.object_schema(title, properties))
