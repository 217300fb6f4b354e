"""`/v1/pictures`, `/v1/videos` and `/v1/outputs`."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import FileResponse

from inferix_serve.hall.videos import new_video
from inferix_serve.pictures import FORMATS, decoded
from inferix_serve.problems import too_large
from inferix_serve.web import schemas
from inferix_serve.web.answers import check_prompt, outcome
from inferix_serve.web.service import Service, service_of

router = APIRouter(prefix="/v1", responses={"4XX": {"model": schemas.ErrorBody}})
VideoId = Annotated[str, Path(max_length=100, description="A video's id.")]
Here = Annotated[Service, Depends(service_of)]
_RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {f"image/{name.lower()}": {"schema": {"type": "string", "format": "binary"}} for name in FORMATS},
    }
}


@router.post("/pictures", response_model=schemas.Picture, status_code=201, tags=["pictures"], openapi_extra=_RAW_BODY)
async def upload_picture(request: Request, here: Here) -> Any:
    """Takes a JPEG, PNG or WebP (the body itself) that worlds can begin with, where the model can do that."""
    decode = partial(decoded, max_pixels=here.settings.limits.max_picture_pixels)
    async with here.pictures.decoding:
        picture = await asyncio.to_thread(decode, await request.body())
    return {"id": here.pictures.add(picture), "height": picture.shape[1], "width": picture.shape[2]}


@router.get("/videos", response_model=list[schemas.Video], tags=["videos"])
async def list_videos(here: Here) -> Any:
    """All videos that were asked for, the newest first."""
    return here.hall.videos.views()


@router.post("/videos", response_model=schemas.Video, status_code=202, tags=["videos"])
async def order_video(body: schemas.NewVideo, here: Here) -> Any:
    """Asks for a video, which is made beside the live worlds; its `progress` goes from 0 to 1."""
    limit = here.settings.limits.max_video_seconds
    if body.seconds > limit:
        raise too_large("video_too_long", f"{body.seconds:g} s were asked for; {limit:g} s are made.", int(limit))
    for prompt in (body.prompt, *(one.prompt for one in body.signals)):
        check_prompt(prompt, here.settings)
    signals = tuple((one.seconds, one.prompt, one.action) for one in body.signals)
    seed = secrets.randbelow(2**31) if body.seed is None else body.seed
    return (await outcome(here.hall.order_video(new_video(body.prompt, body.seconds, seed, signals)))).view()


@router.get("/videos/{video}", response_model=schemas.Video, tags=["videos"])
async def show_video(video: VideoId, here: Here) -> Any:
    """One video and how far it is."""
    return here.hall.videos.find(video).view()


@router.get("/videos/{video}/file", response_class=FileResponse, tags=["videos"])
async def download_video(video: VideoId, here: Here) -> FileResponse:
    """The finished file (mp4)."""
    return FileResponse(here.hall.videos.path(video), media_type="video/mp4", filename=f"{video}.mp4")


@router.delete("/videos/{video}", status_code=204, tags=["videos"])
async def remove_video(video: VideoId, here: Here) -> None:
    """Deletes a video, or gives up making it."""
    await outcome(here.hall.remove_video(video))


@router.get("/outputs", response_model=list[schemas.Output], tags=["outputs"])
async def list_outputs(here: Here) -> Any:
    """Where a world goes out besides to viewers: RTMP servers and HLS playlists that the operator named."""
    return here.outputs.views


@router.put("/outputs/{number}", response_model=schemas.Output, tags=["outputs"])
async def show_on_output(number: Annotated[int, Path(ge=0, le=1000)], body: schemas.OutputBody, here: Here) -> Any:
    """Puts another world on an output, or none; its stream goes on without a break."""
    return await here.outputs.show(number, body.world)
