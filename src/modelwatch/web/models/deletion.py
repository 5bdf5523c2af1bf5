"""Deletion of a model, or of a version or an environment of it, from a form on its pages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.storage.engine.models import Part, StreamKey
from modelwatch.storage.maintenance.deletion import request_deletion
from modelwatch.web.frame.login import read_form
from modelwatch.web.frame.rendering import name
from modelwatch.web.frame.site import action, actor_of, identity_of, seen_other, site_of

# So many parts of a model are offered for deletion; the API and the command take every one.
PARTS_SHOWN = 500


class PartsToDelete:
    """What the form that deletes a model, or a part of it, needs of its page."""

    __slots__ = ()
    streams: Sequence[StreamKey]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Value and label of each part of the model that can be deleted: its environments and versions."""
        environments = sorted({stream.environment for stream in self.streams})
        versions = sorted({stream.version for stream in self.streams})
        return [(f"environment:{each}", f"environment {name(each)}") for each in environments] + [
            (f"version:{each}", f"version {name(each)}") for each in versions
        ]

    @property
    def parts_shown(self) -> list[tuple[str, str]]:
        """The parts that the form offers."""
        return self.parts[:PARTS_SHOWN]


def chosen_part(value: str) -> Part:
    """Part of a model that a form names: the value of a choice, or nothing for the whole. Raises InvalidInput."""
    kind, _, chosen = value.partition(":")
    if kind == "version" and chosen:
        return Part(version=chosen)
    if kind == "environment" and chosen:
        return Part(environment=chosen)
    if not value:
        return Part()
    problem = FieldError("/part", "Expected a version or an environment of the model, or nothing", excerpt(value))
    raise InvalidInput("Nothing is deleted.", (problem,))


def part_name(part: Part) -> str:
    """Name of a part, as a sentence begins with it."""
    if part.version is not None:
        return f"Version {name(part.version)}"
    return "The model" if part.environment is None else f"Environment {name(part.environment)}"


async def delete_model(request: Request) -> Response:
    """Deletes the model, or the version or the environment of it that the form names. Raises InvalidInput unless the
    form repeats that name."""
    state, model = site_of(request).state, identity_of(request, "model_name")
    form = await read_form(request)
    part = chosen_part(form.get("part", ""))
    if form.get("confirm") != (part.version or part.environment or model):
        what = "the version" if part.version else "the environment" if part.environment else "the model"
        problem = FieldError("/confirm", f"Expected the name of {what}, as a confirmation", form.get("confirm"))
        raise InvalidInput("Nothing is deleted.", (problem,))
    actor = actor_of(request, form)
    state.alerts.check_action(actor, None)
    await asyncio.to_thread(
        request_deletion, state.store, model, part, actor=actor, now=state.clock(), new_id=state.new_id
    )
    return seen_other("../../alerts" + ("" if part.is_whole else f"?model={quote(model, safe='')}"))


ROUTES = (action("/models/{model_name:segment}/delete", delete_model),)
