"""The service Restoration: takes requests in, hands them on, streams what comes back. It computes nothing itself."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import grpc

from plugin_core import __version__
from plugin_core.config import ServerConfig
from plugin_core.engine.lanes import Turnstile
from plugin_core.errors import OptionError
from plugin_core.rpc.activity import Activity
from plugin_core.rpc.describe import describe
from plugin_core.rpc.errors import translated_errors
from plugin_core.rpc.formats import RAW_ENDINGS
from plugin_core.rpc.jobs import DenoiseRun
from plugin_core.rpc.mosaic import MosaicRun, check_residual_path, mosaic_job
from plugin_core.rpc.results import check_outputs
from plugin_core.rpc.run import Clock, Rooms
from plugin_core.rpc.transfer import InputPlace, first_message, receive, returned, stall_guard
from plugin_core.rpc.translate import denoise_job, model_message
from plugin_core.rpc.v1 import restoration_pb2 as pb
from plugin_core.rpc.v1 import restoration_pb2_grpc
from plugin_core.rpc.workspace import Workspace

__all__ = ["RestorationService"]

DESCRIBED_AT_ONCE = 2  # each holds a picture in memory


class RestorationService(restoration_pb2_grpc.RestorationServicer):
    """restoration.proto says what each method promises."""

    def __init__(self, config: ServerConfig, rooms: Rooms, workspace: Workspace, activity: Activity) -> None:
        self._config = config
        self._rooms = rooms
        self._workspace = workspace
        self._activity = activity
        self._describing = Turnstile(DESCRIBED_AT_ONCE)
        self._begun_s = time.monotonic()
        self._paths_allowed = config.address.startswith("unix:")

    def Denoise(
        self, request_iterator: Iterator[pb.DenoiseRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.JobEvent]:
        with translated_errors(context) as job_id, self._activity.call(context) as token, ExitStack() as stack:
            clock = Clock()
            with clock.stage(pb.STAGE_RECEIVE):
                with stall_guard(context):
                    header = first_message(request_iterator, "header").header
                check_roles(header.inputs, required="raw", optional="mask")
                job = denoise_job(header.denoise, self._paths_allowed)
                check_outputs(job, [])
                device = min(self._rooms.devices, key=lambda one: len(one.lane))
                stack.enter_context(device.lane.reserve())
                place = self._place(stack, job_id)
                with stall_guard(context, sum(one.size_bytes for one in header.inputs)):
                    files = yield from receive(header.inputs, request_iterator, place)
                check_outputs(job, files)
                self._workspace.note_outputs(place.folder, filter(None, (job.output_path, job.change_map_path)))
            yield from DenoiseRun(files, place.folder, self._rooms, device, token, clock, job_id, job).events()

    def RestoreMosaic(
        self, request_iterator: Iterator[pb.RestoreMosaicRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.JobEvent]:
        with translated_errors(context) as job_id, self._activity.call(context) as token, ExitStack() as stack:
            clock = Clock()
            with clock.stage(pb.STAGE_RECEIVE):
                with stall_guard(context):
                    header = first_message(request_iterator, "header").header
                job = mosaic_job(header, self._paths_allowed, self._config.limits)
                device = min(self._rooms.devices, key=lambda one: len(one.lane))
                stack.enter_context(device.lane.reserve())
                place = self._place(stack, job_id)
                with stall_guard(context, header.input.size_bytes):
                    files = yield from receive([header.input], request_iterator, place)
                check_residual_path(job, files)
                self._workspace.note_outputs(place.folder, filter(None, (job.output_path,)))
            yield from MosaicRun(files, place.folder, self._rooms, device, token, clock, job_id, job).events()

    def DescribeFile(
        self, request_iterator: Iterator[pb.DescribeFileRequest], context: grpc.ServicerContext
    ) -> pb.DescribeFileResponse:
        with translated_errors(context) as job_id, self._activity.call(context) as token, ExitStack() as stack:
            with stall_guard(context):
                declared = first_message(request_iterator, "input").input
            place = self._place(stack, job_id)
            with stall_guard(context, declared.size_bytes):
                (file,) = returned(receive([declared], request_iterator, place))
            returned(self._describing.enter(token))
            stack.callback(self._describing.leave)
            return describe(file, self._rooms.worker, self._rooms.registry, self._rooms.profiles)

    def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetServerInfoResponse:
        with translated_errors(context), self._activity.call(context):
            manifests = [package.manifest for package in self._rooms.registry.list()]
            limits = self._config.limits
            return pb.GetServerInfoResponse(
                version=__version__,
                devices=[device.name for device in self._rooms.devices],
                models=[manifest.id for manifest in manifests],
                formats=RAW_ENDINGS,
                max_file_bytes=limits.file_bytes,
                max_pixels=limits.pixels,
                queue_limit=limits.queue,
                queue_length=sum(len(device.lane) for device in self._rooms.devices),
                uptime_s=time.monotonic() - self._begun_s,
                pid=os.getpid(),
                default_model=next((one.id for one in manifests if one.default and one.op == "denoise"), ""),
            )

    def ListModels(self, request: pb.ListModelsRequest, context: grpc.ServicerContext) -> pb.ListModelsResponse:
        with translated_errors(context), self._activity.call(context):
            return pb.ListModelsResponse(models=[model_message(package) for package in self._rooms.registry.list()])

    def _place(self, stack: ExitStack, job_id: str) -> InputPlace:
        folder = stack.enter_context(self._workspace.job(job_id))
        return InputPlace(folder, self._config.limits, self._paths_allowed)


def check_roles(inputs: Sequence[pb.InputFile], required: str, optional: str) -> None:
    """Raises OptionError unless there is one input of the required role, at most one of the optional, and no other."""
    roles = Counter(one.role for one in inputs)
    if roles[required] != 1 or roles[optional] > 1 or roles.keys() - {required, optional}:
        found = ", ".join(roles.elements()) or "none"
        raise OptionError(f'inputs are {found}; expected one "{required}" and perhaps one "{optional}"', "INPUT_ROLES")
