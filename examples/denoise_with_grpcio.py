"""Restore one RAW file with nothing but grpcio and the generated protos (restoration_pb2*.py, copy them anywhere).

python denoise_with_grpcio.py HOST:PORT IMG_0001.CR3 restored.dng   (a server on this machine: unix:///path/to/socket)
"""

import sys
from pathlib import Path

import grpc

from plugin_core.rpc.v1 import restoration_pb2 as pb
from plugin_core.rpc.v1.restoration_pb2_grpc import RestorationStub


def requests(source):
    file = pb.InputFile(role="raw", name=source.name, size_bytes=source.stat().st_size)
    yield pb.DenoiseRequest(header=pb.JobHeader(inputs=[file], denoise=pb.DenoiseOptions(strength=0.8)))
    with source.open("rb") as stream:
        while data := stream.read(1 << 20):  # chunks of at most 1 MiB
            yield pb.DenoiseRequest(chunk=pb.Chunk(input=0, data=data))


address, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
partial = target.with_suffix(".part")
try:
    with grpc.insecure_channel(address) as channel, partial.open("wb") as result:
        for event in RestorationStub(channel).Denoise(requests(source)):
            if event.WhichOneof("event") == "progress":
                print(f"{pb.Stage.Name(event.progress.stage)} {event.progress.fraction:.0%}", file=sys.stderr)
            elif event.WhichOneof("event") == "result":
                result.write(event.result.data)
            else:
                print(f"{event.summary.model_id} on {event.summary.device}", *event.summary.warnings, sep="\n")
    partial.rename(target)
except grpc.RpcError as error:
    sys.exit(f"{error.code().name}: {error.details()}")
finally:
    partial.unlink(missing_ok=True)
