#include "serving/frontend/http/model_json.h"

#include "core/json/writer.h"
#include "serving/frontend/extensions.h"

namespace tepal {
namespace {

void WriteTensors(json::Writer& out, const std::vector<ModelMetadata::Tensor>& tensors) {
  out.BeginArray();
  for (const ModelMetadata::Tensor& tensor : tensors) {
    out.BeginObject();
    out.Key("name").String(tensor.name);
    out.Key("datatype").String(DataTypeName(tensor.type));
    out.Key("shape").BeginArray();
    for (const int64_t length : tensor.shape) out.Int(length);
    out.EndArray();
    out.EndObject();
  }
  out.EndArray();
}

void WriteCount(json::Writer& out, std::string_view key, const CountAndTime& count) {
  out.Key(key).BeginObject();
  out.Key("count").Uint(count.count);
  out.Key("ns").Uint(count.ns);
  out.EndObject();
}

void WriteBatches(json::Writer& out, const ModelStatisticsSnapshot& statistics) {
  out.Key("batch_stats").BeginArray();
  for (const auto& [rows, batch] : statistics.batches) {
    out.BeginObject();
    out.Key("batch_size").Uint(rows);
    WriteCount(out, "compute_input", batch.compute_input);
    WriteCount(out, "compute_infer", batch.compute_infer);
    WriteCount(out, "compute_output", batch.compute_output);
    out.EndObject();
  }
  out.EndArray();
}

void WriteModelStatistics(json::Writer& out, const ServedModel& model) {
  const ModelStatisticsSnapshot statistics = model.statistics().Read();
  out.BeginObject();
  out.Key("name").String(model.name());
  out.Key("version").String(std::to_string(model.version()));
  out.Key("last_inference").Uint(statistics.last_inference_ms);
  out.Key("inference_count").Uint(statistics.inference_count);
  out.Key("execution_count").Uint(statistics.execution_count);
  out.Key("inference_stats").BeginObject();
  WriteCount(out, "success", statistics.success);
  WriteCount(out, "fail", statistics.fail);
  WriteCount(out, "queue", statistics.queue);
  WriteCount(out, "compute_input", statistics.compute_input);
  WriteCount(out, "compute_infer", statistics.compute_infer);
  WriteCount(out, "compute_output", statistics.compute_output);
  WriteCount(out, "cache_hit", statistics.cache_hit);
  WriteCount(out, "cache_miss", statistics.cache_miss);
  out.EndObject();
  out.Key("response_stats").BeginObject().EndObject();
  WriteBatches(out, statistics);
  out.Key("memory_usage").BeginArray().EndArray();
  out.EndObject();
}

}  // namespace

std::string ServerMetadataJson(std::string_view id, std::string_view version, bool shared_memory) {
  json::Writer out;
  out.BeginObject();
  out.Key("name").String(id);
  out.Key("version").String(version);
  out.Key("extensions").BeginArray();
  for (const std::string_view extension : Extensions(shared_memory)) out.String(extension);
  out.EndArray();
  out.EndObject();
  return out.Take();
}

std::string ModelMetadataJson(const ModelMetadata& metadata) {
  json::Writer out;
  out.BeginObject();
  out.Key("name").String(metadata.name);
  out.Key("versions").BeginArray();
  for (const int64_t version : metadata.versions) out.String(std::to_string(version));
  out.EndArray();
  out.Key("platform").String(metadata.platform);
  out.Key("inputs");
  WriteTensors(out, metadata.inputs);
  out.Key("outputs");
  WriteTensors(out, metadata.outputs);
  out.EndObject();
  return out.Take();
}

std::string StatisticsJson(const std::vector<std::shared_ptr<ServedModel>>& models) {
  json::Writer out;
  out.BeginObject();
  out.Key("model_stats").BeginArray();
  for (const auto& model : models) WriteModelStatistics(out, *model);
  out.EndArray();
  out.EndObject();
  return out.Take();
}

std::string IndexJson(const std::vector<ModelIndexEntry>& entries) {
  json::Writer out;
  out.BeginArray();
  for (const ModelIndexEntry& entry : entries) {
    out.BeginObject();
    out.Key("name").String(entry.name);
    if (entry.version > 0) out.Key("version").String(std::to_string(entry.version));
    if (!entry.state.empty()) out.Key("state").String(entry.state);
    if (!entry.reason.empty()) out.Key("reason").String(entry.reason);
    out.EndObject();
  }
  out.EndArray();
  return out.Take();
}

}  // namespace tepal
