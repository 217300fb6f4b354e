"""`/v1/worlds` and `/v1/saved`."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Annotated, Any

import torch
from fastapi import APIRouter, Depends, Path, Response
from inferix_core.signals import Signal

from inferix_serve.hall.shelf import SAVED
from inferix_serve.hall.shelving import saved_view
from inferix_serve.pictures import jpeg
from inferix_serve.problems import RefusedError, not_found
from inferix_serve.web import schemas
from inferix_serve.web.answers import check_prompt, outcome
from inferix_serve.web.service import Service, service_of

router = APIRouter(prefix="/v1", tags=["worlds"], responses={"4XX": {"model": schemas.ErrorBody}})
WorldId = Annotated[str, Path(max_length=100, description="A world's id.")]
Here = Annotated[Service, Depends(service_of)]
_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 160, 80


@router.get("/worlds", response_model=list[schemas.World])
async def list_worlds(here: Here) -> Any:
    """All worlds, those asleep included, the newest first."""
    return here.hall.views()


@router.post("/worlds", response_model=schemas.World, status_code=201)
async def create_world(body: schemas.NewWorld, here: Here) -> Any:
    """Begins a world, or goes on with a saved one. It plays as long as somebody watches."""
    check_prompt(body.prompt, here.settings)
    if body.saved is not None:
        if body.model_fields_set != {"saved"}:
            raise RefusedError(422, "value", "A saved world goes on as it was: give nothing besides 'saved'.")
        return await _begun(here, here.hall.load(body.saved))
    frames = None if body.picture is None else torch.from_numpy(here.pictures.find(body.picture))
    created = here.hall.create(
        body.prompt, seed=body.seed, frames=frames, fit=body.fit, num_blocks=body.num_blocks, is_paused=body.paused
    )
    return await _begun(here, created)


async def _begun(here: Service, future: Future[dict[str, Any]]) -> dict[str, Any]:
    """The world that has begun, which an output may have waited for."""
    view = await outcome(future)
    await here.outputs.offer(view["id"])
    return view


@router.get("/worlds/{world}", response_model=schemas.World)
async def show_world(world: WorldId, here: Here) -> Any:
    """One world, awake or asleep."""
    return here.hall.view(world)


@router.delete("/worlds/{world}", status_code=204)
async def close_world(world: WorldId, here: Here) -> None:
    """Closes a world for good."""
    await outcome(here.hall.forget(world))


@router.post("/worlds/{world}/signals", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def send_signal(world: WorldId, body: schemas.SignalBody, here: Here) -> Any:
    """Tells a world a prompt, an action or a seed; the answer names the block at which it takes effect."""
    check_prompt(body.prompt, here.settings)
    signal = Signal(prompt=body.prompt, action=body.action, id=body.id)
    if signal.is_empty and body.seed is None:
        raise RefusedError(422, "value", "There is nothing to tell: give a prompt, an action or a seed.")
    return await outcome(here.hall.signal(world, signal, seed=body.seed))


@router.post("/worlds/{world}/hold", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def hold_action(world: WorldId, body: schemas.HoldBody, here: Here) -> Any:
    """Holds an action, block after block, until another is held or null lets go."""
    return await outcome(here.hall.hold(world, body.action, signal_id=body.id))


@router.post("/worlds/{world}/pause", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def pause_world(world: WorldId, here: Here) -> Any:
    """Stops a world."""
    return await outcome(here.hall.pause(world))


@router.post("/worlds/{world}/resume", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def resume_world(world: WorldId, here: Here) -> Any:
    """Lets a world go on, also after a failure."""
    return await outcome(here.hall.resume(world))


@router.post("/worlds/{world}/step", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def step_world(world: WorldId, here: Here, body: schemas.StepBody | None = None) -> Any:
    """Makes blocks of a paused world, watched or not; answered when they are made."""
    return await outcome(here.hall.step(world, 1 if body is None else body.num_blocks))


@router.post("/worlds/{world}/rewind", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def rewind_world(world: WorldId, body: schemas.RewindBody, here: Here) -> Any:
    """Goes back to when so many blocks were finished, as far as the world's journal reaches."""
    return await outcome(here.hall.rewind(world, body.num_blocks))


@router.post("/worlds/{world}/fork", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def fork_world(world: WorldId, here: Here, body: schemas.ForkBody | None = None) -> Any:
    """Begins a world that goes on from here beside this one."""
    return await outcome(here.hall.fork(world, seed=None if body is None else body.seed))


@router.post("/worlds/{world}/save", response_model=schemas.Acknowledgement, response_model_exclude_none=True)
async def save_world(world: WorldId, here: Here) -> Any:
    """Saves a world as it is; `POST /v1/worlds` with the save begins one that goes on from there."""
    return await outcome(here.hall.save(world))


@router.get("/worlds/{world}/blocks/{block}/picture", response_class=Response)
async def block_picture(world: WorldId, block: Annotated[int, Path(ge=0, le=10**9)], here: Here) -> Response:
    """The last frame of a block that the world can be rewound to, as a small JPEG."""
    live = here.hall.find_living(world)
    frame = None if live is None else live.pictures.get(block)
    if frame is None:
        raise not_found("picture of block", str(block))
    picture = await asyncio.to_thread(jpeg, frame, quality=_THUMBNAIL_QUALITY, max_side=_THUMBNAIL_SIDE)
    return Response(picture, media_type="image/jpeg")


@router.get("/saved", response_model=list[schemas.Saved])
async def list_saved(here: Here) -> Any:
    """All saved worlds, the newest first."""
    return [saved_view(note) for note in here.hall.shelf.notes(SAVED)]


@router.delete("/saved/{saved}", status_code=204)
async def remove_saved(saved: WorldId, here: Here) -> None:
    """Deletes a saved world."""
    await outcome(here.hall.remove_saved(saved))


@router.get("/saved/{saved}/picture", response_class=Response)
async def saved_picture(saved: WorldId, here: Here) -> Response:
    """The last frame of a saved world, as a small JPEG."""
    here.hall.shelf.note(saved, SAVED)
    picture = here.hall.shelf.picture(saved)
    if picture is None:
        raise not_found("picture", saved)
    return Response(picture, media_type="image/jpeg")
