from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Output(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_UNSPECIFIED: _ClassVar[Output]
    OUTPUT_CFA: _ClassVar[Output]
    OUTPUT_LINEAR: _ClassVar[Output]
    OUTPUT_RESIDUAL: _ClassVar[Output]

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_LJPEG: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]

class ChangeMapFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_MAP_FORMAT_UNSPECIFIED: _ClassVar[ChangeMapFormat]
    CHANGE_MAP_FORMAT_PNG: _ClassVar[ChangeMapFormat]
    CHANGE_MAP_FORMAT_TIFF: _ClassVar[ChangeMapFormat]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_RECEIVE: _ClassVar[Stage]
    STAGE_QUEUE: _ClassVar[Stage]
    STAGE_DECODE: _ClassVar[Stage]
    STAGE_NOISE: _ClassVar[Stage]
    STAGE_RESTORE: _ClassVar[Stage]
    STAGE_WRITE: _ClassVar[Stage]
    STAGE_SEND: _ClassVar[Stage]
OUTPUT_UNSPECIFIED: Output
OUTPUT_CFA: Output
OUTPUT_LINEAR: Output
OUTPUT_RESIDUAL: Output
COMPRESSION_UNSPECIFIED: Compression
COMPRESSION_LJPEG: Compression
COMPRESSION_NONE: Compression
CHANGE_MAP_FORMAT_UNSPECIFIED: ChangeMapFormat
CHANGE_MAP_FORMAT_PNG: ChangeMapFormat
CHANGE_MAP_FORMAT_TIFF: ChangeMapFormat
STAGE_UNSPECIFIED: Stage
STAGE_RECEIVE: Stage
STAGE_QUEUE: Stage
STAGE_DECODE: Stage
STAGE_NOISE: Stage
STAGE_RESTORE: Stage
STAGE_WRITE: Stage
STAGE_SEND: Stage

class InputFile(_message.Message):
    __slots__ = ("role", "name", "size_bytes", "sha256", "local_path")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LOCAL_PATH_FIELD_NUMBER: _ClassVar[int]
    role: str
    name: str
    size_bytes: int
    sha256: str
    local_path: str
    def __init__(self, role: _Optional[str] = ..., name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., local_path: _Optional[str] = ...) -> None: ...

class NoiseParameters(_message.Message):
    __slots__ = ("a", "b")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    a: _containers.RepeatedScalarFieldContainer[float]
    b: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, a: _Optional[_Iterable[float]] = ..., b: _Optional[_Iterable[float]] = ...) -> None: ...

class NoiseCalibration(_message.Message):
    __slots__ = ("name", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ResidualOptions(_message.Message):
    __slots__ = ("host_area", "or_restored")
    HOST_AREA_FIELD_NUMBER: _ClassVar[int]
    OR_RESTORED_FIELD_NUMBER: _ClassVar[int]
    host_area: _containers.RepeatedScalarFieldContainer[int]
    or_restored: bool
    def __init__(self, host_area: _Optional[_Iterable[int]] = ..., or_restored: _Optional[bool] = ...) -> None: ...

class DenoiseOptions(_message.Message):
    __slots__ = ("model", "strength", "luma", "chroma", "output", "compression", "noise", "output_path", "overwrite", "change_map", "change_map_format", "change_map_path", "no_cache", "residual", "noise_calibration")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    LUMA_FIELD_NUMBER: _ClassVar[int]
    CHROMA_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PATH_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_MAP_FIELD_NUMBER: _ClassVar[int]
    CHANGE_MAP_FORMAT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_MAP_PATH_FIELD_NUMBER: _ClassVar[int]
    NO_CACHE_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    NOISE_CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    model: str
    strength: float
    luma: float
    chroma: float
    output: Output
    compression: Compression
    noise: NoiseParameters
    output_path: str
    overwrite: bool
    change_map: bool
    change_map_format: ChangeMapFormat
    change_map_path: str
    no_cache: bool
    residual: ResidualOptions
    noise_calibration: NoiseCalibration
    def __init__(self, model: _Optional[str] = ..., strength: _Optional[float] = ..., luma: _Optional[float] = ..., chroma: _Optional[float] = ..., output: _Optional[_Union[Output, str]] = ..., compression: _Optional[_Union[Compression, str]] = ..., noise: _Optional[_Union[NoiseParameters, _Mapping]] = ..., output_path: _Optional[str] = ..., overwrite: _Optional[bool] = ..., change_map: _Optional[bool] = ..., change_map_format: _Optional[_Union[ChangeMapFormat, str]] = ..., change_map_path: _Optional[str] = ..., no_cache: _Optional[bool] = ..., residual: _Optional[_Union[ResidualOptions, _Mapping]] = ..., noise_calibration: _Optional[_Union[NoiseCalibration, _Mapping]] = ...) -> None: ...

class JobHeader(_message.Message):
    __slots__ = ("inputs", "denoise")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    DENOISE_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[InputFile]
    denoise: DenoiseOptions
    def __init__(self, inputs: _Optional[_Iterable[_Union[InputFile, _Mapping]]] = ..., denoise: _Optional[_Union[DenoiseOptions, _Mapping]] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("input", "data")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    input: int
    data: bytes
    def __init__(self, input: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class DenoiseRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: JobHeader
    chunk: Chunk
    def __init__(self, header: _Optional[_Union[JobHeader, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ...) -> None: ...

class MosaicWindow(_message.Message):
    __slots__ = ("top", "left", "height", "width", "frame_height", "frame_width", "cfa")
    TOP_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    FRAME_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FRAME_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CFA_FIELD_NUMBER: _ClassVar[int]
    top: int
    left: int
    height: int
    width: int
    frame_height: int
    frame_width: int
    cfa: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, top: _Optional[int] = ..., left: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., frame_height: _Optional[int] = ..., frame_width: _Optional[int] = ..., cfa: _Optional[_Iterable[int]] = ...) -> None: ...

class RestoreMosaicHeader(_message.Message):
    __slots__ = ("input", "window", "model", "noise", "output_path", "no_cache")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PATH_FIELD_NUMBER: _ClassVar[int]
    NO_CACHE_FIELD_NUMBER: _ClassVar[int]
    input: InputFile
    window: MosaicWindow
    model: str
    noise: NoiseParameters
    output_path: str
    no_cache: bool
    def __init__(self, input: _Optional[_Union[InputFile, _Mapping]] = ..., window: _Optional[_Union[MosaicWindow, _Mapping]] = ..., model: _Optional[str] = ..., noise: _Optional[_Union[NoiseParameters, _Mapping]] = ..., output_path: _Optional[str] = ..., no_cache: _Optional[bool] = ...) -> None: ...

class RestoreMosaicRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: RestoreMosaicHeader
    chunk: Chunk
    def __init__(self, header: _Optional[_Union[RestoreMosaicHeader, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "fraction", "eta_s", "queue_position")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    ETA_S_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    fraction: float
    eta_s: float
    queue_position: int
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., fraction: _Optional[float] = ..., eta_s: _Optional[float] = ..., queue_position: _Optional[int] = ...) -> None: ...

class ResultChunk(_message.Message):
    __slots__ = ("role", "data", "last")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    role: str
    data: bytes
    last: bool
    def __init__(self, role: _Optional[str] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class NoiseReport(_message.Message):
    __slots__ = ("a", "b", "source", "confidence", "detail")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    a: _containers.RepeatedScalarFieldContainer[float]
    b: _containers.RepeatedScalarFieldContainer[float]
    source: str
    confidence: float
    detail: str
    def __init__(self, a: _Optional[_Iterable[float]] = ..., b: _Optional[_Iterable[float]] = ..., source: _Optional[str] = ..., confidence: _Optional[float] = ..., detail: _Optional[str] = ...) -> None: ...

class StageSeconds(_message.Message):
    __slots__ = ("stage", "seconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    seconds: float
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class ResultFile(_message.Message):
    __slots__ = ("role", "path", "size_bytes", "sha256")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    role: str
    path: str
    size_bytes: int
    sha256: str
    def __init__(self, role: _Optional[str] = ..., path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class ResidualReport(_message.Message):
    __slots__ = ("refusal", "encoding", "host_area", "frame_size", "false_hot_pixels", "black_sigmas", "make", "model")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    HOST_AREA_FIELD_NUMBER: _ClassVar[int]
    FRAME_SIZE_FIELD_NUMBER: _ClassVar[int]
    FALSE_HOT_PIXELS_FIELD_NUMBER: _ClassVar[int]
    BLACK_SIGMAS_FIELD_NUMBER: _ClassVar[int]
    MAKE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    refusal: str
    encoding: str
    host_area: _containers.RepeatedScalarFieldContainer[int]
    frame_size: _containers.RepeatedScalarFieldContainer[int]
    false_hot_pixels: int
    black_sigmas: float
    make: str
    model: str
    def __init__(self, refusal: _Optional[str] = ..., encoding: _Optional[str] = ..., host_area: _Optional[_Iterable[int]] = ..., frame_size: _Optional[_Iterable[int]] = ..., false_hot_pixels: _Optional[int] = ..., black_sigmas: _Optional[float] = ..., make: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("job_id", "model_id", "model_version", "device", "stages", "noise", "warnings", "results", "source_sha256", "from_cache", "megapixels", "mean_change", "residual")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    FROM_CACHE_FIELD_NUMBER: _ClassVar[int]
    MEGAPIXELS_FIELD_NUMBER: _ClassVar[int]
    MEAN_CHANGE_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    model_id: str
    model_version: str
    device: str
    stages: _containers.RepeatedCompositeFieldContainer[StageSeconds]
    noise: NoiseReport
    warnings: _containers.RepeatedScalarFieldContainer[str]
    results: _containers.RepeatedCompositeFieldContainer[ResultFile]
    source_sha256: str
    from_cache: bool
    megapixels: float
    mean_change: float
    residual: ResidualReport
    def __init__(self, job_id: _Optional[str] = ..., model_id: _Optional[str] = ..., model_version: _Optional[str] = ..., device: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[StageSeconds, _Mapping]]] = ..., noise: _Optional[_Union[NoiseReport, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., results: _Optional[_Iterable[_Union[ResultFile, _Mapping]]] = ..., source_sha256: _Optional[str] = ..., from_cache: _Optional[bool] = ..., megapixels: _Optional[float] = ..., mean_change: _Optional[float] = ..., residual: _Optional[_Union[ResidualReport, _Mapping]] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("progress", "result", "summary")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    result: ResultChunk
    summary: Summary
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., result: _Optional[_Union[ResultChunk, _Mapping]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class DescribeFileRequest(_message.Message):
    __slots__ = ("input", "chunk")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    input: InputFile
    chunk: Chunk
    def __init__(self, input: _Optional[_Union[InputFile, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("group", "name", "value")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    group: str
    name: str
    value: str
    def __init__(self, group: _Optional[str] = ..., name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class DescribeFileResponse(_message.Message):
    __slots__ = ("name", "sha256", "make", "model", "lens", "kind", "cfa", "width", "height", "active_area", "default_crop", "black_level", "white_level", "as_shot_neutral", "orientation", "iso", "exposure_time_s", "f_number", "noise", "other_noise", "warnings", "tags", "restorable", "refusal")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MAKE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LENS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CFA_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_AREA_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_CROP_FIELD_NUMBER: _ClassVar[int]
    BLACK_LEVEL_FIELD_NUMBER: _ClassVar[int]
    WHITE_LEVEL_FIELD_NUMBER: _ClassVar[int]
    AS_SHOT_NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    ORIENTATION_FIELD_NUMBER: _ClassVar[int]
    ISO_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_TIME_S_FIELD_NUMBER: _ClassVar[int]
    F_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    OTHER_NOISE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    RESTORABLE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    make: str
    model: str
    lens: str
    kind: str
    cfa: str
    width: int
    height: int
    active_area: _containers.RepeatedScalarFieldContainer[int]
    default_crop: _containers.RepeatedScalarFieldContainer[int]
    black_level: _containers.RepeatedScalarFieldContainer[float]
    white_level: _containers.RepeatedScalarFieldContainer[float]
    as_shot_neutral: _containers.RepeatedScalarFieldContainer[float]
    orientation: int
    iso: float
    exposure_time_s: float
    f_number: float
    noise: NoiseReport
    other_noise: _containers.RepeatedCompositeFieldContainer[NoiseReport]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.RepeatedCompositeFieldContainer[Tag]
    restorable: bool
    refusal: str
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ..., make: _Optional[str] = ..., model: _Optional[str] = ..., lens: _Optional[str] = ..., kind: _Optional[str] = ..., cfa: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., active_area: _Optional[_Iterable[int]] = ..., default_crop: _Optional[_Iterable[int]] = ..., black_level: _Optional[_Iterable[float]] = ..., white_level: _Optional[_Iterable[float]] = ..., as_shot_neutral: _Optional[_Iterable[float]] = ..., orientation: _Optional[int] = ..., iso: _Optional[float] = ..., exposure_time_s: _Optional[float] = ..., f_number: _Optional[float] = ..., noise: _Optional[_Union[NoiseReport, _Mapping]] = ..., other_noise: _Optional[_Iterable[_Union[NoiseReport, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., tags: _Optional[_Iterable[_Union[Tag, _Mapping]]] = ..., restorable: _Optional[bool] = ..., refusal: _Optional[str] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "devices", "models", "formats", "max_file_bytes", "max_pixels", "queue_limit", "queue_length", "uptime_s", "pid", "default_model")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    MAX_FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    version: str
    devices: _containers.RepeatedScalarFieldContainer[str]
    models: _containers.RepeatedScalarFieldContainer[str]
    formats: _containers.RepeatedScalarFieldContainer[str]
    max_file_bytes: int
    max_pixels: int
    queue_limit: int
    queue_length: int
    uptime_s: float
    pid: int
    default_model: str
    def __init__(self, version: _Optional[str] = ..., devices: _Optional[_Iterable[str]] = ..., models: _Optional[_Iterable[str]] = ..., formats: _Optional[_Iterable[str]] = ..., max_file_bytes: _Optional[int] = ..., max_pixels: _Optional[int] = ..., queue_limit: _Optional[int] = ..., queue_length: _Optional[int] = ..., uptime_s: _Optional[float] = ..., pid: _Optional[int] = ..., default_model: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Model(_message.Message):
    __slots__ = ("id", "version", "op", "cfa_kinds", "halo", "licence", "weights_sha256", "parameters", "card", "is_default", "description")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    CFA_KINDS_FIELD_NUMBER: _ClassVar[int]
    HALO_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    op: str
    cfa_kinds: _containers.RepeatedScalarFieldContainer[str]
    halo: int
    licence: str
    weights_sha256: str
    parameters: int
    card: str
    is_default: bool
    description: str
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., op: _Optional[str] = ..., cfa_kinds: _Optional[_Iterable[str]] = ..., halo: _Optional[int] = ..., licence: _Optional[str] = ..., weights_sha256: _Optional[str] = ..., parameters: _Optional[int] = ..., card: _Optional[str] = ..., is_default: _Optional[bool] = ..., description: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...
