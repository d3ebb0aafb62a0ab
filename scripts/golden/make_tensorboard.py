"""Writes tests/fixtures/golden/tensorboard.txt: records as TensorBoard itself writes them, one `name hex` per line.

Needs `pip install tensorboard` (2.21).
"""

import io
import pathlib

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

TIME = 1_800_000_000.25


def record(event):
    """The framed bytes of an event."""

    class Buffer(io.BytesIO):
        def close(self):
            pass

    buffer = Buffer()
    RecordWriter(buffer).write(event.SerializeToString(deterministic=True))
    return buffer.getvalue().hex()


def scalars(step, values):
    values = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values]
    return event_pb2.Event(wall_time=TIME, step=step, summary=summary_pb2.Summary(value=values))


def text(step, tag, markdown):
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING, tensor_shape=tensor_shape_pb2.TensorShapeProto(), string_val=[markdown.encode()]
    )
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
    meta = summary_pb2.SummaryMetadata(plugin_data=plugin, data_class=summary_pb2.DATA_CLASS_TENSOR)
    value = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=meta)
    return event_pb2.Event(wall_time=TIME, step=step, summary=summary_pb2.Summary(value=[value]))


def session(name, value):
    info = plugin_data_pb2.SessionStartInfo(group_name="base", start_time_secs=TIME)
    setattr(info.hparams[name], "number_value", value)
    meta = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_start_info=info))
    value = summary_pb2.Summary.Value(tag=metadata.SESSION_START_INFO_TAG, metadata=meta, tensor=metadata.NULL_TENSOR)
    return event_pb2.Event(wall_time=TIME, summary=summary_pb2.Summary(value=[value]))


start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
RECORDS = {
    "version": event_pb2.Event(wall_time=TIME, file_version="brain.Event:2"),
    "start": event_pb2.Event(wall_time=TIME, step=301, session_log=start),
    "row": scalars(300, [("train/loss", 2.5), ("grad_norm/layer.12", float("nan")), ("train/learning_rate", 1e-3)]),
    "first_row": scalars(0, [("train/loss", 0.0)]),
    "text": text(7, "samples/0", "    a < b\n    täglich\n"),
    "session": session("learning_rate", 0.5),
}

path = pathlib.Path(__file__).parents[2] / "tests/fixtures/golden/tensorboard.txt"
path.write_text("".join(f"{name} {record(event)}\n" for name, event in RECORDS.items()))
