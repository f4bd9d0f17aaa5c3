"""Prints what the official readers of VisualDL and TensorBoard find in a run's folder, as JSON."""
import base64
import glob
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups, plugin_data_pb2
from tensorboard.plugins.pr_curve import plugin_data_pb2 as pr_data
from tensorboard.util import tensor_util
from visualdl import LogReader

folder = sys.argv[1]


def number(value):
    return value if value == value and abs(value) != float("inf") else str(value)


def encoded(data):
    return base64.b64encode(data).decode()


def visualdl():
    reader = LogReader(file_path=glob.glob(f"{folder}/visualdl/vdlrecords*")[0])
    found = {}
    for kind, tags in reader.get_tags().items():
        for tag in tags:
            for record in reader.get_data(kind, tag):
                found.setdefault(kind, []).append({"tag": record.tag, "step": record.id, **content(kind, record)})
    return found


def content(kind, record):
    if kind == "scalar":
        return {"value": number(record.value)}
    if kind == "image":
        return {"png": encoded(record.image.encoded_image_string)}
    if kind == "histogram":
        return {"counts": list(record.histogram.hist), "edges": list(record.histogram.bin_edges)}
    if kind == "text":
        return {"text": record.text.encoded_text_string}
    if kind == "pr_curve":
        curve = record.pr_curve
        return {name: list(getattr(curve, name)) for name in ("TP", "FP", "TN", "FN", "precision", "recall")}
    if kind == "embeddings":
        rows = record.embeddings.embeddings
        return {"labels": [list(row.label) for row in rows], "vectors": [list(row.vectors) for row in rows]}
    if kind == "hyper_parameters":
        infos = {info.name: getattr(info, info.WhichOneof("type")) for info in record.hparam.hparamInfos}
        return {"values": infos, "metrics": [info.name for info in record.hparam.metricInfos], "run": record.hparam.name}
    return {}


def tensorboard():
    sizes = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    reader = EventAccumulator(f"{folder}/tensorboard", size_guidance=sizes)
    reader.Reload()
    tags = reader.Tags()
    found = {"scalar": [], "image": [], "histogram": [], "text": [], "pr_curve": [], "hparams": {}}
    for tag in tags["scalars"]:
        name = reader.SummaryMetadata(tag).display_name
        for event in reader.Scalars(tag):
            found["scalar"].append({"tag": tag, "step": event.step, "value": number(event.value), "name": name})
    for tag in tags["images"]:
        for event in reader.Images(tag):
            png = encoded(event.encoded_image_string)
            found["image"].append({"tag": tag, "step": event.step, "png": png, "width": event.width, "height": event.height})
    for tag in tags["histograms"]:
        for event in reader.Histograms(tag):
            value = event.histogram_value
            found["histogram"].append(
                {
                    "tag": tag,
                    "step": event.step,
                    "edges": [value.min, *value.bucket_limit],
                    "counts": list(value.bucket),
                    "sum": value.sum,
                    "sumOfSquares": value.sum_squares,
                }
            )
    for tag in tags["tensors"]:
        plugin = reader.SummaryMetadata(tag).plugin_data
        for event in reader.Tensors(tag):
            if plugin.plugin_name == "text":
                text = tensor_util.make_ndarray(event.tensor_proto)[0].decode()
                found["text"].append({"tag": tag, "step": event.step, "text": text})
            elif plugin.plugin_name == "pr_curves":
                rows = tensor_util.make_ndarray(event.tensor_proto).tolist()
                thresholds = pr_data.PrCurvePluginData.FromString(plugin.content).num_thresholds
                found["pr_curve"].append({"tag": tag, "step": event.step, "rows": rows, "thresholds": thresholds})
    # The plugin reads these from metadata, which the accumulator keeps for each tag.
    for tag, content in reader.PluginTagToContent("hparams").items():
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        kind = data.WhichOneof("data")
        if kind == "session_start_info":
            found["hparams"]["values"] = plain(data.session_start_info.hparams)
            found["hparams"]["run"] = data.session_start_info.group_name
            found["hparams"]["start"] = data.session_start_info.start_time_secs
        elif kind == "session_end_info":
            found["hparams"]["status"] = data.session_end_info.status
            found["hparams"]["end"] = data.session_end_info.end_time_secs
        else:
            found["hparams"][kind] = True
    return found


def plain(values):
    return {key: getattr(values[key], values[key].WhichOneof("kind")) for key in values}


def board():
    """What the HParams tab of a folder of runs is given, by the plugin's own server code."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(f"{folder}/several")
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, folder)
    context = backend_context.Context(TBContext(data_provider=provider))
    request = RequestContext()
    from_provider = context.hparams_from_data_provider(request, "", None)
    experiment = context.experiment_from_metadata(request, "", True, context.hparams_metadata(request, ""), from_provider)
    names = [info.name for info in experiment.hparam_infos]
    columns = [api_pb2.ColParams(hparam=name) for name in names]
    columns += [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    asked = api_pb2.ListSessionGroupsRequest(allowed_statuses=[0, 1, 2, 3], col_params=columns, slice_size=99)
    groups = list_session_groups.Handler(request, context, "", asked).run().session_groups
    return {
        "names": names,
        "differ": [info.name for info in experiment.hparam_infos if info.differs],
        "metrics": [info.name.tag for info in experiment.metric_infos],
        "sessions": sorted((session(group) for group in groups), key=lambda each: each["name"]),
    }


def session(group):
    (only,) = group.sessions
    return {
        "name": only.name,
        "status": only.status,
        "start": only.start_time_secs,
        "end": only.end_time_secs,
        "values": plain(group.hparams),
        "metrics": {value.name.tag: value.value for value in only.metric_values},
    }


print(json.dumps({"visualdl": visualdl(), "tensorboard": tensorboard(), "board": board()}))
