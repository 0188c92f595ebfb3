#include "serving/frontend/grpc/grpc_calls.h"

#include "core/base/text.h"
#include "serving/frontend/extensions.h"
#include "serving/frontend/grpc/grpc_answer_message.h"
#include "serving/frontend/grpc/grpc_health_watch.h"
#include "serving/frontend/grpc/grpc_settings_calls.h"
#include "serving/frontend/grpc/grpc_shared_memory_calls.h"
#include "serving/frontend/grpc/model_config_message.h"
#include "serving/frontend/model_version_text.h"
#include "serving/kserve/proto_reader.h"

namespace tepal {
namespace {

using kserve::ProtoReader;
using kserve::ProtoWriter;

Buffer BoolAnswer(bool value) {
  return AnswerMessage([value](ProtoWriter& out) {
    if (value) out.Bool(1, true);
  });
}

// Requests of the form {name = 1, version = 2}.
struct ModelName {
  std::string_view name;
  int64_t version = -1;
};

Result<ModelName> ReadModelName(std::string_view request) {
  ModelName model;
  std::string_view version;
  ProtoReader reader(request);
  while (reader.Next()) {
    if (reader.field() == 1) {
      reader.Bytes(model.name);
    } else if (reader.field() == 2) {
      reader.Bytes(version);
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  ASSIGN_OR_RETURN(model.version, ParseModelVersion(version));
  return model;
}

Result<Buffer> ServerLive(const GrpcCallContext& context, std::string_view) {
  return BoolAnswer(context.core.Live());
}

Result<Buffer> ServerReady(const GrpcCallContext& context, std::string_view) {
  return BoolAnswer(context.core.Ready());
}

Result<Buffer> ModelReady(const GrpcCallContext& context, std::string_view request) {
  ASSIGN_OR_RETURN(const ModelName model, ReadModelName(request));
  return BoolAnswer(context.core.Find(model.name, model.version).ok());
}

Result<Buffer> ServerMetadata(const GrpcCallContext& context, std::string_view) {
  return AnswerMessage([&context](ProtoWriter& out) {
    out.Text(1, context.options.server_id);
    out.Text(2, context.options.server_version);
    for (const std::string_view extension : Extensions(context.options.shared_memory != nullptr)) {
      out.Bytes(3, extension);
    }
  });
}

void WriteTensors(ProtoWriter& out, uint32_t field,
                  const std::vector<ModelMetadata::Tensor>& tensors) {
  for (const ModelMetadata::Tensor& tensor : tensors) {
    out.Message(field, [&tensor](ProtoWriter& message) {
      message.Text(1, tensor.name);
      message.Text(2, DataTypeName(tensor.type));
      for (const int64_t length : tensor.shape) message.Int(3, length);
    });
  }
}

Result<Buffer> GetModelMetadata(const GrpcCallContext& context, std::string_view request) {
  ASSIGN_OR_RETURN(const ModelName model, ReadModelName(request));
  ASSIGN_OR_RETURN(const ModelMetadata metadata, context.core.Metadata(model.name, model.version));
  return AnswerMessage([&metadata](ProtoWriter& out) {
    out.Text(1, metadata.name);
    for (const int64_t version : metadata.versions) out.Bytes(2, Concat(version));
    out.Text(3, metadata.platform);
    WriteTensors(out, 4, metadata.inputs);
    WriteTensors(out, 5, metadata.outputs);
  });
}

Result<Buffer> GetModelConfig(const GrpcCallContext& context, std::string_view request) {
  ASSIGN_OR_RETURN(const ModelName model, ReadModelName(request));
  ASSIGN_OR_RETURN(const auto served, context.core.Find(model.name, model.version));
  ASSIGN_OR_RETURN(const std::string config, ModelConfigMessage(served->config()));
  return AnswerMessage([&config](ProtoWriter& out) { out.Bytes(1, config); });
}

void WriteCount(ProtoWriter& out, uint32_t field, const CountAndTime& count) {
  out.Message(field, [&count](ProtoWriter& message) {
    if (count.count != 0) message.Varint(1, count.count);
    if (count.ns != 0) message.Varint(2, count.ns);
  });
}

void WriteStatistics(ProtoWriter& out, const ServedModel& model) {
  const ModelStatisticsSnapshot statistics = model.statistics().Read();
  out.Text(1, model.name());
  out.Text(2, Concat(model.version()));
  if (statistics.last_inference_ms != 0) out.Varint(3, statistics.last_inference_ms);
  if (statistics.inference_count != 0) out.Varint(4, statistics.inference_count);
  if (statistics.execution_count != 0) out.Varint(5, statistics.execution_count);
  out.Message(6, [&statistics](ProtoWriter& message) {
    WriteCount(message, 1, statistics.success);
    WriteCount(message, 2, statistics.fail);
    WriteCount(message, 3, statistics.queue);
    WriteCount(message, 4, statistics.compute_input);
    WriteCount(message, 5, statistics.compute_infer);
    WriteCount(message, 6, statistics.compute_output);
    WriteCount(message, 7, statistics.cache_hit);
    WriteCount(message, 8, statistics.cache_miss);
  });
  for (const auto& batch : statistics.batches) {
    out.Message(7, [&batch](ProtoWriter& message) {
      message.Varint(1, batch.first);
      WriteCount(message, 2, batch.second.compute_input);
      WriteCount(message, 3, batch.second.compute_infer);
      WriteCount(message, 4, batch.second.compute_output);
    });
  }
}

Result<Buffer> GetModelStatistics(const GrpcCallContext& context, std::string_view request) {
  ASSIGN_OR_RETURN(const ModelName model, ReadModelName(request));
  const auto models = context.core.Served(model.name, model.version);
  if (!model.name.empty() && models.empty()) {
    if (model.version != -1 && !context.core.Served(model.name, -1).empty()) {
      return InvalidArgument(
          Concat("requested model version is not available for model '", model.name, "'"));
    }
    return InvalidArgument(Concat("requested model '", model.name, "' is not available"));
  }
  return AnswerMessage([&models](ProtoWriter& out) {
    for (const auto& served : models) {
      out.Message(1, [&served](ProtoWriter& message) { WriteStatistics(message, *served); });
    }
  });
}

Result<Buffer> RepositoryIndex(const GrpcCallContext& context, std::string_view request) {
  uint64_t ready_only = 0;
  std::string_view repository;
  ProtoReader reader(request);
  while (reader.Next()) {
    if (reader.field() == 1) {
      reader.Bytes(repository);
    } else if (reader.field() == 2) {
      reader.Varint(ready_only);
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  if (!repository.empty()) return NoRepositoryName();
  ASSIGN_OR_RETURN(const std::vector<ModelIndexEntry> entries, context.core.Index(ready_only != 0));
  return AnswerMessage([&entries](ProtoWriter& out) {
    for (const ModelIndexEntry& entry : entries) {
      out.Message(1, [&entry](ProtoWriter& message) {
        message.Text(1, entry.name);
        if (entry.version > 0) message.Text(2, Concat(entry.version));
        message.Text(3, entry.state);
        message.Text(4, entry.reason);
      });
    }
  });
}

// Like Triton's, whatever service it names.
Result<Buffer> HealthCheck(const GrpcCallContext& context, std::string_view) {
  return HealthMessage(context.core.Ready() ? ServingStatus::kServing : ServingStatus::kNotServing);
}

constexpr std::pair<std::string_view, GrpcCall> kCalls[] = {
    {"/inference.GRPCInferenceService/ServerLive", ServerLive},
    {"/inference.GRPCInferenceService/ServerReady", ServerReady},
    {"/inference.GRPCInferenceService/ModelReady", ModelReady},
    {"/inference.GRPCInferenceService/ServerMetadata", ServerMetadata},
    {"/inference.GRPCInferenceService/ModelMetadata", GetModelMetadata},
    {"/inference.GRPCInferenceService/ModelConfig", GetModelConfig},
    {"/inference.GRPCInferenceService/ModelStatistics", GetModelStatistics},
    {"/inference.GRPCInferenceService/RepositoryIndex", RepositoryIndex},
    {"/inference.GRPCInferenceService/SystemSharedMemoryStatus", SystemSharedMemoryStatus},
    {"/inference.GRPCInferenceService/SystemSharedMemoryRegister", SystemSharedMemoryRegister},
    {"/inference.GRPCInferenceService/SystemSharedMemoryUnregister", SystemSharedMemoryUnregister},
    {"/inference.GRPCInferenceService/CudaSharedMemoryStatus", CudaSharedMemoryStatus},
    {"/inference.GRPCInferenceService/CudaSharedMemoryRegister", CudaSharedMemoryRegister},
    {"/inference.GRPCInferenceService/CudaSharedMemoryUnregister", CudaSharedMemoryUnregister},
    {"/inference.GRPCInferenceService/TraceSetting", TraceSetting},
    {"/inference.GRPCInferenceService/LogSettings", ChangeLogSettings},
    {"/grpc.health.v1.Health/Check", HealthCheck},
};

}  // namespace

GrpcCall FindGrpcCall(std::string_view path) {
  for (const auto& [name, call] : kCalls) {
    if (name == path) return call;
  }
  return nullptr;
}

}  // namespace tepal
